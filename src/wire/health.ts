import type { MessageInitShape } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import {
  type HealthCheckResponseSchema,
  Health as HealthService,
  HealthCheckResponse_ServingStatus as ProtoStatus,
} from "../../gen/health/v1/health_pb.js";
import { type Mount, mount } from "./mount.js";

export type HealthStatus = "serving" | "not-serving";

/** The state behind grpc.health.v1. */
export interface Health {
  readonly mount: Mount;
  readonly service: typeof HealthService;
  /** Tells every watcher of that name at once. Ignored after `shutdown`. */
  set(name: string, status: HealthStatus): void;
  /** Everything is NOT_SERVING from now on; watchers are told, and their streams end. */
  shutdown(): void;
}

/** The server as a whole (health.proto: "the empty string"). */
const WHOLE_SERVER = "";

/** @param names what can be asked for besides the server as a whole; all serve at first */
export function createHealth(names: readonly string[]): Health {
  const statuses = new Map<string, ProtoStatus>(
    [WHOLE_SERVER, ...names].map((name) => [name, ProtoStatus.SERVING]),
  );
  const watchers = new Set<() => void>();
  let isShutDown = false;

  function change(name: string, status: ProtoStatus): void {
    statuses.set(name, status);
    for (const wake of watchers) wake();
  }

  /** Resolves at the next change, or when the signal aborts. */
  function nextChange(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        watchers.delete(wake);
        signal.removeEventListener("abort", wake);
        resolve();
      };
      watchers.add(wake);
      signal.addEventListener("abort", wake, { once: true });
    });
  }

  async function* watch(
    name: string,
    signal: AbortSignal,
  ): AsyncGenerator<MessageInitShape<typeof HealthCheckResponseSchema>> {
    let told: ProtoStatus | undefined;
    while (!signal.aborted) {
      const status = statuses.get(name) ?? ProtoStatus.SERVICE_UNKNOWN;
      if (status !== told) {
        told = status;
        yield { status };
      } else if (isShutDown) return;
      else await nextChange(signal);
    }
  }

  return {
    service: HealthService,
    mount: mount(HealthService, {
      check({ service }) {
        const status = statuses.get(service);
        if (status === undefined)
          throw new ConnectError(`no service ${service} is known here`, Code.NotFound);
        return { status };
      },
      list: () => ({
        statuses: Object.fromEntries([...statuses].map(([name, status]) => [name, { status }])),
      }),
      watch: ({ service }, { signal }) => watch(service, signal),
    }),
    set(name, status) {
      if (!isShutDown)
        change(name, status === "serving" ? ProtoStatus.SERVING : ProtoStatus.NOT_SERVING);
    },
    shutdown() {
      isShutDown = true;
      for (const name of statuses.keys()) change(name, ProtoStatus.NOT_SERVING);
    },
  };
}
