/**
 * Options of the user-mode network, and their form on the command line, which is QEMU's `-nic user` as far as it goes.
 *
 * @module
 */
import { parseAddress } from "./wire.ts";

/** A port of the host's that leads to one of the guest's. */
export interface Forward {
  /** "tcp" or "udp". */
  protocol: "tcp" | "udp";
  /** IPv4 address of the host where it waits; "127.0.0.1" if absent, "0.0.0.0" for all. */
  host?: string;
  /** The host's port; 0 takes any that is free. */
  hostPort: number;
  /** IPv4 address of the guest; "10.0.2.15" if absent. */
  guest?: string;
  /** The guest's port. */
  guestPort: number;
}

/** A user-mode network: the guest is alone in 10.0.2.0/24, and Trapdoor does for it what it asks of the outside. */
export interface NetworkOptions {
  /** Ways in. */
  forwards?: readonly Forward[];
  /** The guest gets no connection to the outside; forwards work. */
  restrict?: boolean;
  /** Whether 10.0.2.2 leads to the host's 127.0.0.1; true if absent. No other address of the guest's ever does. */
  loopback?: boolean;
  /** Name server that is asked, such as "1.1.1.1" or "127.0.0.1:5353"; those of the system if absent. */
  dns?: string;
}

function fail(text: string, why: string): never {
  throw new RangeError(
    `Cannot use the network "${text}": ${why}; the form is ` +
      "user[,hostfwd=tcp|udp:[HOSTADDR]:HOSTPORT-[GUESTADDR]:GUESTPORT]...[,restrict=on][,loopback=off][,dns=ADDR[:PORT]]",
  );
}

/**
 * Parses the value of `--net`.
 *
 * @param text Such as "user" or "user,hostfwd=tcp::8080-:80".
 * @throws {RangeError} If it has another form.
 *
 * @example
 * ```ts
 * import { parseNetwork } from "./options.ts";
 * console.log(parseNetwork("user,hostfwd=tcp::8080-:80").forwards?.[0].guestPort); // 80
 * ```
 */
export function parseNetwork(text: string): NetworkOptions {
  const [kind, ...rest] = text.split(",");
  if (kind !== "user") fail(text, `there is no kind "${kind}"`);
  const forwards: Forward[] = [], options: NetworkOptions = { forwards };
  const onOff = (name: string, value: string) => {
    const on = ["on", "yes"].includes(value);
    if (!on && !["off", "no"].includes(value)) fail(text, `${name} is on or off`);
    return on;
  };
  for (const item of rest) {
    const at = item.indexOf("="), name = item.slice(0, Math.max(at, 0)), value = item.slice(at + 1);
    if (name === "hostfwd") {
      const match = /^(tcp|udp):([\d.]*):(\d{1,5})-([\d.]*):(\d{1,5})$/.exec(value);
      if (!match) return fail(text, `${item} is no forward`);
      const [, protocol, host, hostPort, guest, guestPort] = match;
      forwards.push({
        protocol: protocol as Forward["protocol"],
        hostPort: Number(hostPort),
        guestPort: Number(guestPort),
        ...(host === "" ? {} : { host }),
        ...(guest === "" ? {} : { guest }),
      });
    } else if (name === "restrict") options.restrict = onOff(name, value);
    else if (name === "loopback") options.loopback = onOff(name, value);
    else if (name === "dns") options.dns = value;
    else fail(text, `there is no option "${item}"`);
  }
  return options;
}

/** The numbers of an address and a port. @throws {RangeError} If they are none. */
export function endpointOf(address: string, port: number): { address: number; port: number } {
  const number = parseAddress(address);
  if (number === undefined) {
    throw new RangeError(`Cannot use the address "${address}": it is not like 127.0.0.1`);
  }
  if (!(Number.isInteger(port) && port >= 0 && port <= 65535)) {
    throw new RangeError(`Cannot use the port ${port}: it is not 0 to 65535`);
  }
  return { address: number, port };
}
