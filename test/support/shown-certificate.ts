import { once } from "node:events";
import { connect } from "node:tls";

/** The SHA-256 fingerprint of the certificate that a server on this host shows to a new connection. */
export async function shownFingerprint(port: number): Promise<string> {
  const socket = connect({ port, host: "127.0.0.1", rejectUnauthorized: false });
  try {
    await once(socket, "secureConnect");
    return socket.getPeerCertificate().fingerprint256;
  } finally {
    socket.destroy();
  }
}
