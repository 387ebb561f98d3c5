import type { Socket } from "node:net";
import { addressBlock } from "../lib/address-block.js";

/** Counts the connections of each address, IPv6 by /64. */
export interface AddressConnections {
  /** Counts `socket` until it is closed; false, and it is closed now, if its address has enough. */
  admit(socket: Socket): boolean;
}

export function countConnections(maxPerAddress: number): AddressConnections {
  const counts = new Map<string, number>();
  return {
    admit(socket) {
      const block = addressBlock(socket.remoteAddress ?? "");
      const count = counts.get(block) ?? 0;
      if (count >= maxPerAddress) {
        socket.on("error", () => {});
        socket.destroy();
        return false;
      }
      counts.set(block, count + 1);
      socket.once("close", () => {
        const left = (counts.get(block) ?? 0) - 1;
        if (left > 0) counts.set(block, left);
        else counts.delete(block);
      });
      return true;
    },
  };
}
