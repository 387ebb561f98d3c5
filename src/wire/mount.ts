import type { DescService } from "@bufbuild/protobuf";
import { createServiceImplSpec, type ServiceImpl, type ServiceImplSpec } from "@connectrpc/connect";

/** A service with its implementation, ready for every protocol that the server speaks. */
export type Mount = ServiceImplSpec;

/**
 * Pairs a service with its implementation. Handlers may throw ConnectErrors;
 * anything else leaves as INTERNAL without its text.
 */
export function mount<S extends DescService>(service: S, implementation: ServiceImpl<S>): Mount {
  return createServiceImplSpec(service, implementation);
}

/** The path that a method is called by, in every protocol. */
export function pathOf(method: { readonly parent: DescService; readonly name: string }): string {
  return `/${method.parent.typeName}/${method.name}`;
}

/** Told of every error that is no status: a bug that the peer sees only as INTERNAL. */
export type OnInternalError = (path: string, error: unknown) => void;
