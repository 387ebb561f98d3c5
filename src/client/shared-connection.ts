import type { Interceptor } from "@connectrpc/connect";
import type { Clock } from "../lib/clock.js";
import type { Endpoints } from "../wire/endpoints.js";
import type { BareConnection } from "./clients.js";
import { type SessionAccess, SharedMember } from "./shared-member.js";
import { SharedRoute } from "./shared-route.js";

/** What a session takes for its endpoints. */
export type SessionEndpoints = Pick<Endpoints, "current" | "others" | "leave" | "settle">;

export interface SharedConnectionOptions {
  /** Makes a connection. */
  readonly dial: () => BareConnection;
  readonly endpoints: SessionEndpoints;
  /** Authorizes the stream of all sessions that have no token of their own. */
  readonly authorize: Interceptor;
  readonly clock: Clock;
}

/** A session that has dialled. */
interface User {
  /** The connection has come up. */
  readonly onReady: () => void;
}

/**
 * One connection for several sessions, each of which believes that it has its own. It is
 * made for the first that needs it, and closed once nobody does.
 *
 * What they have in common counts once, however many notice it:
 *
 * - A connection that may be half-open is dropped for all. Who complains of it later has
 *   nothing to drop any more: the next one is not the one that failed.
 * - An endpoint that has failed is left once, and called good only while it is in use.
 *   Each session speaks for the endpoint of its own attempt, not for the one that another
 *   has moved on to.
 */
export class SharedConnection {
  readonly #options: SharedConnectionOptions;
  readonly #users = new Set<User>();
  #route: SharedRoute | undefined;
  /** How often an endpoint was left. */
  #turn = 0;
  /** Whether somebody waits for the connection to come up by itself. */
  #isAwaited = false;

  constructor(options: SharedConnectionOptions) {
    this.#options = options;
  }

  /** One session's share. It needs no end but that of the connections that it dials. */
  share(access: SessionAccess): SharedMember {
    return new SharedMember(this, access, this.#options);
  }

  /** Where calls go now. */
  get route(): SharedRoute {
    this.#route ??= new SharedRoute(this.#dial(), this.#turn);
    return this.#route;
  }

  enter(user: User): void {
    this.#users.add(user);
  }

  /** @param broken the route that this user has found broken */
  exit(user: User, broken?: SharedRoute): void {
    this.#users.delete(user);
    if (broken) this.#drop(broken);
    if (this.#users.size > 0) return;
    this.#isAwaited = false;
    this.#hangUp();
  }

  connect(): void {
    this.#isAwaited = true;
    this.route.connection.connect();
  }

  leave({ turn }: SharedRoute): void {
    if (turn < this.#turn) return;
    this.#turn += 1;
    this.#options.endpoints.leave();
    // The connection goes on: it finds the next endpoint by itself.
    if (this.#route) this.#route = new SharedRoute(this.#route.connection, this.#turn);
  }

  settle({ turn }: SharedRoute): void {
    if (turn === this.#turn) this.#options.endpoints.settle();
  }

  #drop(route: SharedRoute): void {
    route.end();
    if (route !== this.#route) return;
    this.#hangUp();
    // Those who waited for it would wait for ever.
    if (this.#isAwaited && this.#users.size > 0) this.connect();
  }

  #hangUp(): void {
    this.#route?.connection.close();
    this.#route = undefined;
  }

  #dial(): BareConnection {
    const connection = this.#options.dial();
    connection.onReady(() => {
      if (this.#route?.connection !== connection) return;
      this.#isAwaited = false;
      for (const { onReady } of [...this.#users]) onReady();
    });
    return connection;
  }
}
