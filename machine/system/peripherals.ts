/**
 * What is attached to a board by options and lives outside of it, over restarts: the network, shared directories,
 * modules of devices.
 *
 * @module
 */
import { MachineError } from "../program.ts";
import { HostError } from "../user/errno.ts";
import type { HostFileSystem } from "../user/host.ts";
import { denoFiles } from "../user/host_deno.ts";
import type { VirtioDevice } from "./devices/virtio.ts";
import { Virtio9p } from "./devices/virtio_9p.ts";
import { VirtioNet } from "./devices/virtio_net.ts";
import type { NetworkHost } from "./net/host.ts";
import { denoNetwork } from "./net/host_deno.ts";
import { type NetworkOptions, parseNetwork } from "./net/options.ts";
import { UserNetwork } from "./net/user_network.ts";
import { P9Server } from "./p9/server.ts";
import {
  type DeviceSpec,
  loadDevice,
  type LoadedDevice,
  parseDevice,
  type PlatformDevice,
  UserDevices,
} from "./user_device.ts";
import { type State, StateError, type StateReader } from "./state.ts";
import { parseShare, type Share, tagsOf } from "./p9/share.ts";

/** Options of what a machine is connected to. */
export interface PeripheralOptions {
  /**
   * A network card with a user-mode network: "user", with options such as "user,hostfwd=tcp::8080-:80", or an object.
   * None if absent.
   */
  network?: string | NetworkOptions;
  /** The host's network, if it is to be another one than Deno's. */
  networkHost?: NetworkHost;
  /** Host directories that the guest may mount, as `DIR[:TAG][:ro]` or as an object. */
  shares?: readonly (string | Share)[];
  /** Devices of the user's, as `URL[,OPTION=VALUE]...` or as objects. */
  devices?: readonly (string | DeviceSpec)[];
  /** Gets errors of callbacks and devices, with stacks; `console.error` if absent. */
  report?: (message: string) => void;
  /** Gets, once each, what the guest asked for and could not get. */
  note?: (message: string) => void;
}

/** What is attached to one machine. */
export class Peripherals {
  /** Called when something happened that the guest may wait for. */
  onActivity: () => void = () => {};
  readonly #network: UserNetwork | undefined;
  readonly #shares: readonly { server: P9Server; tag: string }[];
  readonly #loaded: readonly LoadedDevice[];
  readonly #report: (message: string) => void;
  #devices: UserDevices | undefined;

  private constructor(
    network: UserNetwork | undefined,
    shares: readonly { server: P9Server; tag: string }[],
    loaded: readonly LoadedDevice[],
    report: (message: string) => void,
  ) {
    this.#network = network;
    this.#shares = shares;
    this.#loaded = loaded;
    this.#report = report;
    if (network) network.onActivity = () => this.onActivity();
  }

  /**
   * Opens everything.
   *
   * @param files The host's files.
   * @throws {MachineError} If something can't be opened.
   */
  static async open(
    options: PeripheralOptions,
    files: HostFileSystem = denoFiles,
  ): Promise<Peripherals> {
    const { network, networkHost = denoNetwork, note = () => {} } = options;
    const { report = (message: string) => console.error(message) } = options;
    const shares = openShares(options.shares ?? [], files, note), loaded: LoadedDevice[] = [];
    for (const device of options.devices ?? []) {
      loaded.push(await loadDevice(typeof device === "string" ? parseDevice(device) : device));
    }
    if (network === undefined) return new Peripherals(undefined, shares, loaded, report);
    try {
      const parsed = typeof network === "string" ? parseNetwork(network) : network;
      const opened = await UserNetwork.open(parsed, networkHost, note);
      return new Peripherals(opened, shares, loaded, report);
    } catch (cause) {
      if (cause instanceof Deno.errors.NotCapable || !(cause instanceof Error)) throw cause;
      const known = cause instanceof RangeError;
      throw new MachineError(known ? cause.message : `Cannot open the network: ${cause.message}`, {
        cause,
      });
    }
  }

  /** Virtio devices for a board. */
  virtio(): VirtioDevice[] {
    return [
      ...(this.#network ? [new VirtioNet(this.#network)] : []),
      ...this.#shares.map(({ server, tag }) => new Virtio9p(server, tag)),
    ];
  }

  /** The user's devices, made anew for a board. @throws {MachineError} If one can't be made. */
  platform(): readonly PlatformDevice[] {
    this.#devices?.close();
    this.#devices = new UserDevices(this.#loaded, this.#report, () => this.onActivity());
    return this.#devices.platform;
  }

  /** Whether an interrupt may come though no hart does anything. */
  get alive(): boolean {
    return this.#loaded.length > 0 || (this.#network?.alive ?? false);
  }

  /** Whether the guest may wait for something outside, so that time must not skip. */
  get busy(): boolean {
    return this.#network?.busy ?? false;
  }

  /**
   * For {@linkcode check} and {@linkcode restore}: what there is, and the state of the user's devices. The others are
   * behind virtio devices, which keep theirs.
   *
   * @throws {SnapshotError} If a device can't be saved.
   */
  save(): State {
    return {
      network: this.#network !== undefined,
      shares: this.#shares.map(({ tag }) => tag),
      devices: this.#devices?.save() ?? [],
    };
  }

  /** Looks whether a machine had the same. @throws {StateError} */
  check(state: StateReader): void {
    const differs = (what: string, before: readonly string[], now: readonly string[]) => {
      if (before.length === now.length && before.every((name, i) => name === now[i])) return;
      const words = (names: readonly string[]) => names.length === 0 ? "none" : names.join(", ");
      throw new StateError(
        `the machine had these ${what}: ${words(before)}; there are now: ${words(now)}`,
      );
    };
    const cards = (there: boolean) => there ? ["user"] : [];
    differs("networks", cards(state.at("network").boolean()), cards(this.#network !== undefined));
    const tags = state.at("shares").list().map((tag) => tag.string());
    differs("shared directories", tags, this.#shares.map(({ tag }) => tag));
    const devices = state.at("devices").list().map((each) => each.at("compatible").string());
    differs("devices", devices, this.#devices?.compatible ?? []);
  }

  /** Takes over what {@linkcode save} gave; the board is restored already. @throws {StateError} */
  restore(state: StateReader): void {
    this.#devices?.restore(state.at("devices"));
    this.#network?.reset();
  }

  /** Ports of the host that lead to the guest, in the order of the network's forwards. */
  get forwarded(): readonly number[] {
    return this.#network?.forwarded ?? [];
  }

  /** Closes everything; may be called again. */
  close(): void {
    this.#devices?.close();
    this.#network?.close();
    for (const { server } of this.#shares) server.reset();
  }
}

function openShares(
  shares: readonly (string | Share)[],
  files: HostFileSystem,
  note: (message: string) => void,
): { server: P9Server; tag: string }[] {
  const parsed = shares.map((share) => typeof share === "string" ? parseShare(share) : share);
  const tags = tagsOf(parsed);
  return parsed.map(({ directory, readonly = false }, i) => {
    try {
      return { server: new P9Server(files, directory, readonly, note), tag: tags[i] };
    } catch (cause) {
      if (!(cause instanceof HostError)) throw cause;
      throw new MachineError(`Cannot share ${directory}: ${cause.message}`, { cause });
    }
  });
}
