import { readdir } from "node:fs/promises";
import type { DescFile, DescMethod, DescService } from "@bufbuild/protobuf";

const DIRECTORY = new URL("../../gen/pulse/v1/", import.meta.url);

/** All services of the contract, read from what was generated, so that none is missed. */
export const SERVICES: readonly DescService[] = (
  await Promise.all(
    (
      await readdir(DIRECTORY)
    ).map((name): Promise<object> => import(new URL(name, DIRECTORY).href)),
  )
).flatMap((module) =>
  Object.values(module)
    .filter(isFile)
    .flatMap(({ services }) => services),
);

/** All their methods. */
export const METHODS: readonly DescMethod[] = SERVICES.flatMap(({ methods }) => methods);

/** `/pulse.v1.RegistryService/Register` */
export function methodPath({ parent, name }: DescMethod): string {
  return `/${parent.typeName}/${name}`;
}

function isFile(exported: unknown): exported is DescFile {
  return (
    typeof exported === "object" &&
    exported !== null &&
    "kind" in exported &&
    exported.kind === "file"
  );
}
