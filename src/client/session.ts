import { type Clock, holdProcess, type Timer } from "../lib/clock.js";
import type { Random } from "../lib/random.js";
import type { Endpoints } from "../wire/endpoints.js";
import type { Described } from "./convert.js";
import { toHeartbeat } from "./convert.js";
import { described } from "./description.js";
import type {
  Grant,
  Registration,
  RegistrationEvent,
  RegistrationState,
  ServiceCredentials,
  ServiceDescription,
  ServiceHealth,
  ServiceLoad,
} from "./registration.js";
import { SessionCalls, type SessionCallsOptions } from "./session-calls.js";
import { begin } from "./session-register.js";
import {
  type Context,
  type Effect,
  type Outcome,
  type SessionEvent,
  type SessionState,
  TIMER_EVENTS,
  type TimerName,
} from "./session-state.js";
import { transition } from "./session-transition.js";

/** A timer this late means that the process stood still: it was stopped, or its event loop was blocked. */
const STALL_MS = 5_000;

export interface SessionOptions extends Omit<SessionCallsOptions, "arrive"> {
  readonly service: ServiceDescription;
  readonly credentials: ServiceCredentials | undefined;
  readonly health: ServiceHealth | undefined;
  readonly standaloneAfterMs: number;
  /** Where the connections that `dial` makes go. */
  readonly endpoints: Pick<Endpoints, "current" | "others" | "leave" | "settle">;
  readonly clock: Clock;
  readonly random: Random;
  /** Gets each event before any subscriber. */
  readonly onEvent: (event: RegistrationEvent) => void;
}

/** Starts a session: the driver that carries out what session-state.ts decides. */
export function startSession(options: SessionOptions): Registration {
  return new Session(options);
}

class Session implements Registration {
  readonly #options: SessionOptions;
  readonly #calls: SessionCalls;
  readonly #context: Context;
  readonly #listeners = new Set<(event: RegistrationEvent) => void>();
  readonly #timers = new Map<TimerName, { readonly timer: Timer; readonly dueAt: number }>();
  /** Events that wait: a listener may cause some while the effects of another are carried out. */
  readonly #events: SessionEvent[] = [];
  readonly #closed: Promise<void>;
  #resolveClosed = () => {};
  #state: SessionState;
  #grant: Grant | undefined;
  /** The newest description, the one that the last Register sent, and the last one granted. */
  #wanted: Described;
  #sent: Described;
  #granted: Described;
  #health: ServiceHealth | undefined;
  #load: ServiceLoad | undefined;
  /** The credentials of the newest description have been accepted since the last heartbeat. */
  #isVerified = false;
  #wokeAt = Number.NEGATIVE_INFINITY;

  constructor(options: SessionOptions) {
    const { clock, random, endpoints, standaloneAfterMs, service, credentials } = options;
    this.#options = options;
    this.#context = {
      get now() {
        return clock.now();
      },
      random: () => random.next(),
      get others() {
        return endpoints.others;
      },
      standaloneAfterMs,
    };
    this.#calls = new SessionCalls({
      ...options,
      arrive: (event, isCurrent) => this.#arrive(event, isCurrent),
    });
    this.#wanted = { service, credentials };
    this.#sent = this.#wanted;
    this.#granted = this.#wanted;
    this.#health = options.health;
    this.#closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    const first = begin(this.#context);
    this.#state = first.state;
    this.#enter(first);
  }

  get state(): RegistrationState {
    return this.#state.name === "closing" ? "closed" : this.#state.name;
  }

  get grant(): Grant | undefined {
    return this.#grant;
  }

  get acknowledged(): ServiceCredentials | undefined {
    return this.#grant && this.#granted.credentials;
  }

  subscribe(listener: (event: RegistrationEvent) => void): () => void {
    // Wrapped, so that one function subscribed twice is called, and ended, twice.
    const own = (event: RegistrationEvent) => listener(event);
    this.#listeners.add(own);
    return () => void this.#listeners.delete(own);
  }

  update(change: Parameters<Registration["update"]>[0]): void {
    if (change.health) this.#health = change.health;
    this.#wanted = described(this.#wanted, change);
    if (change.credentials) this.#isVerified = false;
    this.#dispatch({ type: "update" });
  }

  report({ health, load, verified }: Parameters<Registration["report"]>[0]): void {
    const before = this.#health?.status ?? "online";
    if (load) this.#load = load;
    if (verified) this.#isVerified = true;
    if (!health) return;
    this.#health = health;
    if (health.status !== before) this.#dispatch({ type: "status-changed" });
  }

  close({ deregister = false } = {}): Promise<void> {
    const hold = holdProcess(this.#options.clock); // or the goodbye would not be sent
    void this.#closed.then(hold.release);
    this.#dispatch({ type: "close", deregister });
    return this.#closed;
  }

  #arrive(event: SessionEvent, isCurrent: () => boolean): void {
    if (!isCurrent()) return;
    this.#noticeStall();
    if (isCurrent()) this.#dispatch(event);
  }

  /** Says `woke` before anything else if a timer is overdue; each stall counts once. */
  #noticeStall(): void {
    const now = this.#options.clock.now();
    let stalledMs = 0;
    for (const { dueAt } of this.#timers.values())
      stalledMs = Math.max(stalledMs, now - Math.max(dueAt, this.#wokeAt));
    if (stalledMs < STALL_MS) return;
    this.#wokeAt = now;
    this.#dispatch({ type: "woke", stalledMs });
  }

  #dispatch(event: SessionEvent): void {
    this.#events.push(event);
    if (this.#events.length > 1) return; // the loop below is at work
    for (let next = this.#events[0]; next; next = this.#events[0]) {
      if (next.type === "register-succeeded") this.#granted = this.#sent;
      const outcome = transition(this.#state, next, this.#context);
      this.#state = outcome.state;
      this.#enter(outcome);
      this.#events.shift();
    }
  }

  #enter({ state, effects }: Outcome): void {
    if ("lease" in state && state.lease) this.#grant = state.lease.grant;
    const isOver = ["superseded", "failed", "closed"].includes(state.name);
    if (isOver) this.#calls.hangUp();
    for (const effect of effects) this.#carryOut(effect);
    if (state.name === "closed") this.#resolveClosed();
  }

  #carryOut(effect: Effect): void {
    const calls = this.#calls;
    switch (effect.type) {
      case "register":
        this.#sent = this.#wanted;
        void calls.register({
          described: this.#sent,
          health: this.#health,
          leaseId: this.#grant?.leaseId,
          attempt: effect.attempt,
        });
        break;
      case "cancel-register":
        calls.cancelRegister();
        break;
      case "open-stream":
        void calls.openStream();
        break;
      case "close-stream":
        calls.closeStream();
        break;
      case "send-heartbeat":
        calls.send(toHeartbeat(effect, this.#health, this.#load, this.#takeVerified()));
        break;
      case "send-goodbye":
        calls.send({ ...toHeartbeat(effect, undefined, undefined), goodbye: true });
        break;
      case "deregister":
        void calls.deregister();
        break;
      case "set-timer":
        this.#setTimer(effect.timer, effect.delayMs);
        break;
      case "cancel-timer":
        this.#cancelTimer(effect.timer);
        break;
      case "await-connection":
        calls.awaitConnection();
        break;
      case "renew-connection":
        calls.renewConnection();
        break;
      case "leave-endpoint":
        this.#options.endpoints.leave();
        break;
      case "settle":
        this.#options.endpoints.settle();
        break;
      case "discard-update":
        this.#wanted = this.#granted;
        this.#isVerified = false;
        break;
      case "emit":
        this.#emit(effect.event);
        break;
    }
  }

  /** Told once, and not before Pulse has the credentials that it is about. */
  #takeVerified(): boolean {
    const isVerified = this.#isVerified && this.#wanted === this.#granted;
    if (isVerified) this.#isVerified = false;
    return isVerified;
  }

  #setTimer(name: TimerName, delayMs: number): void {
    this.#cancelTimer(name);
    const { clock } = this.#options;
    const timer = clock.setTimer(delayMs, () => {
      this.#noticeStall();
      if (this.#timers.get(name)?.timer !== timer) return;
      this.#timers.delete(name);
      this.#dispatch({ type: TIMER_EVENTS[name] });
    });
    this.#timers.set(name, { timer, dueAt: clock.now() + delayMs });
  }

  #cancelTimer(name: TimerName): void {
    this.#timers.get(name)?.timer.cancel();
    this.#timers.delete(name);
  }

  #emit(said: RegistrationEvent): void {
    const endpoint = this.#options.endpoints.current?.place;
    const isAttached = said.type === "registered" || said.type === "reconnected";
    const event = isAttached && endpoint ? { ...said, endpoint } : said;
    for (const listener of [this.#options.onEvent, ...this.#listeners]) {
      try {
        listener(event);
      } catch {
        // A listener that throws is its owner's affair; the session goes on.
      }
    }
  }
}
