/**
 * The network that Deno has, within its permissions.
 *
 * @module
 */
import type {
  DnsRecord,
  DnsType,
  Endpoint,
  HostDatagrams,
  HostListener,
  HostStream,
  NetworkHost,
} from "./host.ts";
import { addressText, parseAddress } from "./wire.ts";

/** Never prompts: nobody would expect a question while a machine runs. */
function granted(host?: string): boolean {
  const query = host === undefined ? { name: "net" as const } : { name: "net" as const, host };
  return Deno.permissions.querySync(query).state === "granted";
}

const text = ({ address, port }: Endpoint) => `${addressText(address)}:${port}`;

function requireNet(what: string, host?: string): void {
  if (granted(host)) return;
  throw new Deno.errors.NotCapable(
    `Requires net access to ${host ?? "all hosts"} to ${what}, run again with the --allow-net flag`,
  );
}

class DenoStream implements HostStream {
  readonly #connection: Deno.TcpConn;
  #open = true;

  constructor(connection: Deno.TcpConn) {
    this.#connection = connection;
    connection.setNoDelay(true);
  }
  read(buffer: Uint8Array<ArrayBuffer>): Promise<number | null> {
    return this.#connection.read(buffer);
  }
  write(bytes: Uint8Array<ArrayBuffer>): Promise<number> {
    return this.#connection.write(bytes);
  }
  closeWrite(): Promise<void> {
    return this.#connection.closeWrite();
  }
  close(): void {
    if (this.#open) this.#connection.close();
    this.#open = false;
  }
}

async function acceptAll(
  listener: Deno.TcpListener,
  accept: (stream: HostStream, from: Endpoint) => void,
): Promise<void> {
  for (;;) {
    let connection: Deno.TcpConn;
    try {
      connection = await listener.accept();
    } catch (error) {
      if (error instanceof Deno.errors.BadResource || error instanceof Deno.errors.Interrupted) {
        return;
      }
      // That one connection is gone, or there are too many; the next may do better.
      if (!(error instanceof Error)) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
      continue;
    }
    const { hostname, port } = connection.remoteAddr;
    accept(new DenoStream(connection), { address: parseAddress(hostname) ?? 0, port });
  }
}

type DgramSocket = {
  bind(port: number, address: string): void;
  address(): { port: number };
  send(
    bytes: Uint8Array,
    port: number,
    address: string,
    sent: (error: Error | null) => void,
  ): void;
  close(): void;
  on(event: "listening", listener: () => void): void;
  on(event: "error", listener: (error: Error) => void): void;
  on(
    event: "message",
    listener: (bytes: Uint8Array, from: { address: string; port: number }) => void,
  ): void;
};

/** Deno has UDP of its own only behind a flag; its Node layer has it without. */
function openDatagrams(
  at: Endpoint,
  received: (bytes: Uint8Array, from: Endpoint) => void,
): Promise<HostDatagrams> {
  const dgram = process.getBuiltinModule("node:dgram") as unknown as {
    createSocket(type: "udp4"): DgramSocket;
  };
  const { promise, resolve, reject } = Promise.withResolvers<HostDatagrams>();
  // Refused here: in the Node layer it would be an exception that nobody can catch.
  requireNet("open a UDP socket", text(at));
  const socket = dgram.createSocket("udp4");
  let open = true;
  const close = () => {
    if (open) socket.close();
    open = false;
  };
  socket.on("error", (error) => {
    close();
    reject(error);
  });
  socket.on("message", (bytes, { address, port }) => {
    received(bytes, { address: parseAddress(address) ?? 0, port });
  });
  socket.on("listening", () =>
    resolve({
      port: socket.address().port,
      send(bytes, address, port) {
        // What can't be sent is lost, as any datagram may be.
        if (open) socket.send(bytes, port, addressText(address), () => {});
      },
      close,
    }));
  socket.bind(at.port, addressText(at.address));
  return promise;
}

/** Names without the dot at their end. */
const plain = (name: string) => name.replace(/\.$/, "");

function records(type: DnsType, answers: unknown[]): DnsRecord[] {
  switch (type) {
    case "A":
      return (answers as string[]).flatMap((answer) => {
        const address = parseAddress(answer);
        return address === undefined ? [] : [{ type, address }];
      });
    case "CNAME":
    case "NS":
    case "PTR":
      return (answers as string[]).map((name) => ({ type, name: plain(name) }));
    case "MX":
      return (answers as Deno.MxRecord[]).map(({ preference, exchange }) => ({
        type,
        preference,
        name: plain(exchange),
      }));
    case "SRV":
      return (answers as Deno.SrvRecord[]).map(({ priority, weight, port, target }) => ({
        type,
        priority,
        weight,
        port,
        name: plain(target),
      }));
    case "TXT":
      return (answers as string[][]).map((texts) => ({ type, texts }));
  }
}

async function resolveName(
  name: string,
  type: DnsType,
  server: Endpoint | undefined,
): Promise<DnsRecord[] | undefined> {
  // Which servers the system has is not known here, so all must be allowed.
  requireNet("resolve names", server && text(server));
  const options: Deno.ResolveDnsOptions = server
    ? { nameServer: { ipAddr: addressText(server.address), port: server.port } }
    : {};
  try {
    return records(type, await Deno.resolveDns(name, type as "A", options));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return type === "A" ? undefined : [];
    throw error;
  }
}

/** The network of this process. */
export const denoNetwork: NetworkHost = {
  allowed: (to) => granted(text(to)),
  async connect({ address, port }) {
    return new DenoStream(await Deno.connect({ hostname: addressText(address), port }));
  },
  listen({ address, port }, accept): HostListener {
    const listener = Deno.listen({ hostname: addressText(address), port });
    void acceptAll(listener, accept);
    return { port: listener.addr.port, close: () => listener.close() };
  },
  datagrams: async (at, received) => await openDatagrams(at, received),
  resolve: resolveName,
};
