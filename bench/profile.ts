import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";

/** The part of V8's .cpuprofile that is read here. */
interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: {
      readonly functionName: string;
      readonly url: string;
      readonly lineNumber: number;
    };
  }[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

/** Not work: the process waits, or the profiler itself is at work. */
const NOT_WORK: readonly string[] = ["(idle)", "dispatch"];
const MAX_FUNCTIONS = 25;
const ROOT = join(import.meta.dirname, "..");

/** Of each profile in the directory: where the CPU's time went, by function itself. */
export function renderProfiles(directory: string): string {
  return readdirSync(directory)
    .filter((file) => file.endsWith(".cpuprofile"))
    .sort()
    .map((file) => {
      const profile = JSON.parse(readFileSync(join(directory, file), "utf8")) as CpuProfile;
      return `${file}\n${renderTop(profile)}`;
    })
    .join("\n\n");
}

function renderTop(profile: CpuProfile): string {
  const places = new Map(profile.nodes.map(({ id, callFrame }) => [id, placeOf(callFrame)]));
  const selfMicros = new Map<string, number>();
  let total = 0;
  for (const [index, id] of profile.samples.entries()) {
    const place = places.get(id) ?? "";
    if (NOT_WORK.includes(place)) continue;
    const micros = profile.timeDeltas[index] ?? 0;
    total += micros;
    selfMicros.set(place, (selfMicros.get(place) ?? 0) + micros);
  }
  return [...selfMicros]
    .sort(([, a], [, b]) => b - a)
    .slice(0, MAX_FUNCTIONS)
    .map(([place, micros]) => `${((micros / total) * 100).toFixed(1).padStart(6)} %  ${place}`)
    .join("\n");
}

function placeOf({
  functionName,
  url,
  lineNumber,
}: CpuProfile["nodes"][number]["callFrame"]): string {
  const name = functionName || "(anonymous)";
  if (url === "") return name;
  const file = url.startsWith("file:") ? relative(ROOT, fileURLToPath(url)) : url;
  return `${name}  ${file}:${lineNumber + 1}`;
}
