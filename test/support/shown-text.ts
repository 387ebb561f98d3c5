import { createHash } from "node:crypto";
import type { DownloadClient } from "../../gen/pulse/v1/download_client_pb.js";
import { entryText } from "./watch-truth.js";

const LONG = 2_000;

/** All that is shown of an entry, as `entryText` has it, shortened. */
export function shownText(entry: DownloadClient): string {
  return shortened(entryText(entry));
}

/** Of what is long, a hash that stands for it. */
export function shortened(text: string): string {
  return text.length <= LONG ? text : createHash("sha256").update(text).digest("hex");
}
