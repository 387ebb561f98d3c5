import { connect } from "node:net";
import { describe, expect, it, onTestFinished } from "vitest";
import { startNntpServer } from "./nntp-server.js";
import { createPost } from "./nzb.js";
import { crc32, yencode } from "./yenc.js";

/** The opposite of `yencode`, said in another way. */
function ydecode(text: Buffer): Buffer {
  const bytes: number[] = [];
  const lines = text.toString("latin1").split("\r\n");
  for (const line of lines)
    for (const [part = ""] of line.matchAll(/=?./gs)) {
      const isEscaped = part.length > 1;
      bytes.push((part.charCodeAt(part.length - 1) - (isEscaped ? 106 : 42) + 512) % 256);
    }
  return Buffer.from(bytes);
}

describe("yEnc", () => {
  it("writes every byte so that it comes back", () => {
    const data = Buffer.from(Array.from({ length: 5_000 }, (_, n) => (n * 7 + (n >> 8)) % 256));
    const text = yencode(data);
    expect(ydecode(text)).toEqual(data);
  });

  it("writes no NUL, no CR or LF of its own, no line that begins with a dot, and none too long", () => {
    const dots = Buffer.alloc(400, 0x2e - 42 + 256);
    const special = Buffer.from([0, 10, 13, 61].map((byte) => (byte - 42 + 256) % 256));
    const lines = yencode(Buffer.concat([dots, special]))
      .toString("latin1")
      .split("\r\n");
    expect(lines.pop()).toBe("");
    expect(lines.map((line) => line.length)).toEqual([128, 128, 128, 28]);
    for (const line of lines) expect(line).not.toMatch(/^\.|[\0\r\n]/);
  });

  it("knows the CRC of a known text", () => {
    expect(crc32(Buffer.from("123456789"))).toBe("cbf43926");
    expect(crc32(Buffer.alloc(0))).toBe("00000000");
  });
});

describe("a post", () => {
  it("is in articles that its .nzb names, each with its place in the file", () => {
    const file = Buffer.alloc(1_500_000, "a film");
    const { nzb, articles } = createPost("film.bin", file);
    const ids = [...nzb.toString().matchAll(/number="\d">([^<]+)</g)].map(([, id]) => `<${id}>`);
    expect(ids).toEqual([...articles.keys()]);
    const bodies = [...articles.values()].map((body) => body.toString("latin1"));
    expect(bodies.map((body) => body.split("\r\n")[1])).toEqual([
      "=ypart begin=1 end=700000",
      "=ypart begin=700001 end=1400000",
      "=ypart begin=1400001 end=1500000",
    ]);
    const end = bodies.at(-1)?.split("\r\n").at(-2);
    const last = file.subarray(1_400_000);
    expect(end).toBe(`=yend size=100000 part=3 pcrc32=${crc32(last)} crc32=${crc32(file)}`);
  });
});

describe("the Usenet server", () => {
  async function start() {
    const server = await startNntpServer(new Map([["<1@x>", Buffer.from("a line\r\n")]]));
    onTestFinished(() => server.close());
    const talk = (...lines: string[]) =>
      new Promise<string>((resolve, reject) => {
        let heard = "";
        connect(server.port, server.host)
          .setEncoding("latin1")
          .on("data", (text: string) => {
            heard += text;
          })
          .once("error", reject)
          .once("end", () => resolve(heard))
          .write([...lines, "QUIT", ""].join("\r\n"));
      });
    const logIn = [`AUTHINFO USER ${server.username}`, `AUTHINFO PASS ${server.password}`];
    return { server, talk, logIn };
  }
  const HELLO = "200 hello\r\n";

  it("hands out articles to who has logged in", async () => {
    const { server, talk, logIn } = await start();
    expect(await talk(...logIn, "BODY <1@x>", "STAT <2@x>")).toBe(
      `${HELLO}381 and the password\r\n281 welcome\r\n` +
        "222 0 <1@x>\r\na line\r\n.\r\n430 no such article\r\n205 bye\r\n",
    );
    expect(await talk(...logIn, "ARTICLE <1@x>")).toContain(
      "220 0 <1@x>\r\nMessage-ID: <1@x>\r\n\r\na line\r\n.\r\n",
    );
    expect(server.articlesSent).toBe(2);
  });

  it("refuses a wrong password, and everybody who has given none", async () => {
    const { server, talk, logIn } = await start();
    const [user = ""] = logIn;
    expect(await talk("BODY <1@x>")).toBe(`${HELLO}480 log in first\r\n205 bye\r\n`);
    expect(await talk(user, "AUTHINFO PASS wrong", "BODY <1@x>")).toBe(
      `${HELLO}381 and the password\r\n481 refused\r\n480 log in first\r\n205 bye\r\n`,
    );
    expect(server.articlesSent).toBe(0);
  });
});
