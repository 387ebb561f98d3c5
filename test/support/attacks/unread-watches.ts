import { connectPulse } from "../../../src/client/index.js";
import {
  callHeaders,
  END_HEADERS,
  END_STREAM,
  FRAME,
  frame,
  helloFrames,
  wideHelloFrames,
} from "../../wire/raw-frames.js";
import { type Attack, openMany } from "./attack.js";

const WATCH = "/pulse.v1.DownloadClientService/WatchDownloadClients";
const ENTRIES = 50;
const EDIT_EACH_MS = 5;

/**
 * Watches that never read, `form` being how: with windows that are "wide", so that all
 * waits in the network, or "narrow", so that it waits in Pulse. The token is an
 * operator's: entries are made and edited all the time.
 */
export const unreadWatches: Attack = async (config, harvest) => {
  const { downloadClients } = connectPulse({
    pulse: `http://127.0.0.1:${config.port}`,
    token: config.token ?? "",
    retry: "never",
  });
  const ids: string[] = [];
  for (let n = 0; n < ENTRIES; n++) {
    const { downloadClient } = await downloadClients.createDownloadClient({
      downloadClient: {
        name: `watched-${Date.now()}-${n}`,
        kind: "sabnzbd",
        host: "nas.local",
        port: 8080,
        tags: Array.from({ length: 20 }, (_, tag) => `tag-${tag}-${"x".repeat(40)}`),
      },
    });
    if (downloadClient) ids.push(downloadClient.id);
  }
  const hello = config.form === "wide" ? wideHelloFrames() : helloFrames();
  const call = callHeaders(WATCH, { authorization: `Bearer ${config.token}` });
  await openMany(config, harvest, config.count, (socket) => {
    socket.pause();
    socket.write(
      Buffer.concat([
        hello,
        frame(FRAME.headers, END_HEADERS, 1, call),
        frame(FRAME.data, END_STREAM, 1, Buffer.alloc(5)),
      ]),
    );
  });
  let edits = 0;
  setInterval(() => {
    const id = ids[edits % ids.length] ?? "";
    const priority = (edits++ % 49) + 1;
    downloadClients
      .updateDownloadClient({
        downloadClient: { id, priority },
        updateMask: { paths: ["priority"] },
      })
      .then(
        () => {
          harvest.seen.edits = (harvest.seen.edits ?? 0) + 1;
        },
        () => {},
      );
  }, EDIT_EACH_MS).unref();
};
