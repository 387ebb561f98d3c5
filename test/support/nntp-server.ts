import { type AddressInfo, createServer, type Socket } from "node:net";

/** A Usenet server of this process, on loopback. */
export interface NntpServer {
  readonly host: string;
  readonly port: number;
  readonly username: string;
  readonly password: string;
  /** How many articles it has handed out. */
  readonly articlesSent: number;
  close(): void;
}

type Commands = Readonly<Record<string, (...words: readonly string[]) => void>>;

/**
 * Serves articles to who logs in: as much of NNTP (RFC 3977, RFC 4643) as programs that
 * fetch from Usenet use.
 * @param articles bodies by message id, lines ending with CRLF and none beginning with a dot
 */
export async function startNntpServer(
  articles: ReadonlyMap<string, Buffer>,
  { username, password } = { username: "reader", password: "pass-of-the-reader" },
): Promise<NntpServer> {
  const sockets = new Set<Socket>();
  let articlesSent = 0;

  function serve(socket: Socket): void {
    let [user, isKnown] = ["", false];
    const say = (...lines: readonly string[]) => void socket.write(`${lines.join("\r\n")}\r\n`);
    const logInFirst = () => say("480 log in first");

    function authenticate(what = "", value = ""): void {
      if (what.toUpperCase() === "USER") {
        user = value;
        say("381 and the password");
      } else {
        isKnown = user === username && value === password;
        say(isKnown ? "281 welcome" : "481 refused");
      }
    }

    function send(status: string, id = "", ...head: readonly string[]): void {
      const body = articles.get(id);
      if (!body) {
        say("430 no such article");
        return;
      }
      articlesSent += 1;
      say(`${status} 0 ${id}`, ...head);
      socket.write(body);
      say(".");
    }

    const open: Commands = {
      AUTHINFO: authenticate,
      CAPABILITIES: () => say("101 what it can do", "VERSION 2", "READER", "AUTHINFO USER", "."),
      DATE: () => say("111 20260101000000"),
      MODE: () => say("200 for readers"),
      QUIT: () => void socket.end("205 bye\r\n"),
    };
    const forReaders: Commands = {
      ARTICLE: (id) => send("220", id, `Message-ID: ${id}`, ""),
      BODY: (id) => send("222", id),
      GROUP: (name) => say(`211 1 1 1 ${name}`),
      STAT: (id = "") => say(articles.has(id) ? `223 0 ${id}` : "430 no such article"),
    };

    function answer(line: string): void {
      const [word = "", ...rest] = line.split(" ");
      const command = word.toUpperCase();
      const run = open[command] ?? (isKnown ? forReaders[command] : logInFirst);
      if (run) run(...rest);
      else say("500 unknown command");
    }

    sockets.add(socket);
    let unfinished = "";
    socket
      .setEncoding("latin1")
      .on("data", (text: string) => {
        const lines = (unfinished + text).split("\r\n");
        unfinished = lines.pop() ?? "";
        for (const line of lines) answer(line);
      })
      .on("error", () => {}) // the other side may go at any time
      .on("close", () => sockets.delete(socket));
    say("200 hello");
  }

  const server = createServer(serve);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    host: "127.0.0.1",
    port,
    username,
    password,
    get articlesSent() {
      return articlesSent;
    },
    close() {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
