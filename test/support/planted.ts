import { randomBytes } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";

/** Shorter pieces are found by chance. */
const MIN_PIECE = 12;

/** Secrets that a test has planted, and all forms in which one may show somewhere. */
export class PlantedSecrets {
  readonly #forms: { readonly name: string; readonly bytes: Buffer }[] = [];

  /** A random text that can be recognised, with characters that encodings change. @returns it */
  make(name: string): string {
    return this.plant(name, `Planted&"ü/${randomBytes(15).toString("base64url")}=?`);
  }

  /** The same of letters and digits only. */
  makePlain(name: string): string {
    return this.plant(name, `Planted${randomBytes(15).toString("hex")}`);
  }

  /** Adds one that is there already. @returns it */
  plant(name: string, text: string): string {
    const bytes = Buffer.from(text);
    this.#add(name, "as it is", text);
    this.#add(name, "in a URL", encodeURIComponent(text));
    this.#add(name, "in a form", new URLSearchParams({ "": text }).toString().slice(1));
    this.#add(name, "in JSON", JSON.stringify(text).slice(1, -1));
    this.#add(name, "in JSON twice", JSON.stringify(JSON.stringify(text)).slice(3, -3));
    this.plantBytes(name, bytes);
    return text;
  }

  /** For keys, which need not show as the text that they were given as. */
  plantBytes(name: string, bytes: Buffer): void {
    this.#forms.push({ name: `${name}, as bytes`, bytes });
    this.#add(name, "in hex", bytes.toString("hex"));
    this.#add(name, "in HEX", bytes.toString("hex").toUpperCase());
    for (const encoding of ["base64", "base64url"] as const)
      for (const offset of [0, 1, 2]) {
        // Inside a longer text: what its neighbours have no part in.
        const whole = Buffer.concat([Buffer.alloc(offset), bytes]).toString(encoding);
        const piece = whole.replace(/=+$/, "").slice(offset === 0 ? 0 : 4, -2);
        this.#add(name, `in ${encoding} at ${offset}`, piece);
      }
  }

  #add(name: string, form: string, text: string): void {
    if (text.length < MIN_PIECE) throw new Error(`${name} is too short to be recognised`);
    this.#forms.push({ name: `${name}, ${form}`, bytes: Buffer.from(text) });
  }

  /** Which of them are in it; only those whose names match. */
  in(content: string | Buffer, only = /./): readonly string[] {
    const bytes = typeof content === "string" ? Buffer.from(content) : content;
    const found = this.#forms.filter((form) => only.test(form.name) && bytes.includes(form.bytes));
    return found.map(({ name }) => name);
  }

  /** Every form of every secret, for tests of this. */
  get everyForm(): readonly Buffer[] {
    return this.#forms.map(({ bytes }) => bytes);
  }
}

/** All files below a directory, with their modes and contents. */
export async function filesIn(
  directory: string,
): Promise<readonly { readonly path: string; readonly mode: number; readonly content: Buffer }[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  return Promise.all(
    files.map(async (entry) => {
      const path = join(entry.parentPath, entry.name);
      const { mode } = await stat(path);
      return { path, mode: mode & 0o777, content: await readFile(path) };
    }),
  );
}

/** Looks at the arguments and titles of all processes of this host, again and again. */
export class ProcessWatch {
  readonly #seen = new Set<string>();
  readonly #timer = setInterval(() => this.look(), 100);

  /** All that was ever seen. */
  get seen(): string {
    return [...this.#seen].join("\n");
  }

  look(): void {
    for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name)))
      for (const file of ["cmdline", "comm"])
        try {
          this.#seen.add(readFileSync(join("/proc", pid, file), "utf8"));
        } catch {
          // It has ended.
        }
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}
