import {
  type DescEnum,
  type DescExtension,
  type DescFile,
  type DescMessage,
  type DescService,
  toBinary,
} from "@bufbuild/protobuf";
import { nestedTypes } from "@bufbuild/protobuf/reflect";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";

/** Some files, with all that they import, as reflection asks for them. */
export interface DescriptorIndex {
  /** @param name with its ending, like `pulse/v1/service.proto` */
  file(name: string): DescFile | undefined;
  /** The file that declares a fully qualified name, of whatever kind. */
  fileOf(symbol: string): DescFile | undefined;
  message(typeName: string): DescMessage | undefined;
  extensionsOf(message: DescMessage): readonly DescExtension[];
}

export function createDescriptorIndex(roots: readonly DescFile[]): DescriptorIndex {
  const files = withImports(roots);
  const byName = new Map(files.map((file) => [`${file.name}.proto`, file]));
  const bySymbol = new Map(
    files.flatMap((file) => symbolsIn(file).map((symbol) => [symbol, file] as const)),
  );
  const types = files.flatMap((file) => [...nestedTypes(file)]);
  const messages = new Map(
    types.flatMap((type) => (type.kind === "message" ? [[type.typeName, type] as const] : [])),
  );
  const extensions = types.filter((type) => type.kind === "extension");
  return {
    file: (name) => byName.get(name),
    fileOf: (symbol) => bySymbol.get(symbol),
    message: (typeName) => messages.get(typeName),
    extensionsOf: ({ typeName }) =>
      extensions.filter(({ extendee }) => extendee.typeName === typeName),
  };
}

/** A file and everything it imports, encoded: a client can link these with nothing else. */
export function encodeWithImports(file: DescFile): Uint8Array[] {
  return withImports([file]).map(({ proto }) => toBinary(FileDescriptorProtoSchema, proto));
}

function withImports(files: readonly DescFile[]): DescFile[] {
  const all = new Set<DescFile>();
  const add = (file: DescFile) => {
    if (all.has(file)) return;
    all.add(file);
    for (const dependency of file.dependencies) add(dependency);
  };
  for (const file of files) add(file);
  return [...all];
}

/** Every name that a file declares: types, methods, fields, oneofs, enum values, extensions. */
function symbolsIn(file: DescFile): string[] {
  return [...nestedTypes(file)].flatMap((type) => [type.typeName, ...membersOf(type)]);
}

function membersOf(type: DescMessage | DescEnum | DescExtension | DescService): string[] {
  switch (type.kind) {
    case "service":
      return type.methods.map(({ name }) => `${type.typeName}.${name}`);
    case "message":
      return [...type.fields, ...type.oneofs].map(({ name }) => `${type.typeName}.${name}`);
    case "extension":
      return [];
    case "enum": {
      // As in C++, the values of an enum are siblings of it, not children.
      const scope = type.typeName.slice(0, type.typeName.lastIndexOf(".") + 1);
      return type.values.map(({ name }) => scope + name);
    }
  }
}
