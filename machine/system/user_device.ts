/**
 * Devices of the user's: a class in an ES module, with registers in the guest's physical memory, an interrupt and a
 * device-tree node.
 *
 * A device is the user's code and runs with the permissions of the process. What it throws is reported, and the guest's
 * load or store faults.
 *
 * @module
 */
import { loadModule } from "../../backdoor/loader.ts";
import { describeValue, errorText } from "../../backdoor/report.ts";
import type { Bus } from "../../mmu/bus.ts";
import { MachineError } from "../program.ts";
import type { InterruptLine, MmioDevice } from "./devices/device.ts";
import type { FdtNode, FdtValue } from "./fdt.ts";
import { SnapshotError } from "./snapshot.ts";
import { type State, StateError, type StateReader } from "./state.ts";

/** What a device gets from its machine. */
export interface DeviceHost {
  /** Options that were given with it, such as `{ sides: "20" }`. */
  readonly options: Readonly<Record<string, string>>;
  /** Raises or lowers its interrupt, a level. It may be called at any time, from a timer or a Promise too. */
  interrupt(on: boolean): void;
  /** A copy of bytes of the guest's RAM; undefined if some of them are not there. */
  readMemory(address: number, length: number): Uint8Array<ArrayBuffer> | undefined;
  /** Writes bytes to the guest's RAM; false if some of them are not there, and then none is written. */
  writeMemory(address: number, bytes: Uint8Array): boolean;
}

/**
 * A device. Offsets, sizes and values of {@linkcode MmioDevice.read} and {@linkcode MmioDevice.write} are the guest's:
 * answer every one.
 */
export interface Device extends MmioDevice {
  /** Bytes of its registers, 1 to 16 MiB. */
  readonly size: number;
  /** For its device-tree node: which drivers it is for, such as "example,dice". */
  readonly compatible: string | readonly string[];
  /** Name of its node without the address, such as "dice"; "device" if absent. */
  readonly name?: string;
  /** Further properties of its node; "reg", "interrupts" and "interrupt-parent" are there already. */
  readonly properties?: Readonly<Record<string, FdtValue>>;
  /** The machine restarts, with a new device, or has ended. */
  close?(): void;
  /**
   * What a snapshot has to keep of it: numbers, bigints, truth values, texts, byte arrays, and lists and objects of
   * those. Its interrupt is kept anyway. A machine with a device that has no `save` can't be saved.
   */
  save?(): State;
  /**
   * Takes over what {@linkcode save} gave, in a new device with the same options. A device with `save` must have it.
   *
   * @throws If it can't use that.
   */
  load?(state: State): void;
}

/** A class of devices: what a device module exports as default. */
export type DeviceClass = new (host: DeviceHost) => Device;

/** A device to be added: its module (a path or URL) or class, and options for it. */
export interface DeviceSpec {
  /** Path or URL of the module, as for callback modules, or the class itself. */
  device: string | URL | DeviceClass;
  /** For {@linkcode DeviceHost.options}. */
  options?: Readonly<Record<string, string>>;
}

/** Where devices are put, one behind the other in the order in which they are given, aligned to their size. */
export const DEVICE_PLACE = 0x1100_0000;
const DEVICE_END = 0x2000_0000, SMALLEST = 0x1000, LARGEST = 16 << 20;
/** Interrupt of the first device; the next one has the next. */
export const DEVICE_INTERRUPT = 64;
/** Most devices. */
export const MAX_DEVICES = 16;
/** Most levels of what a device saves. */
const MAX_DEPTH = 32;
/** Errors of one device that are reported. */
const MAX_REPORTS = 20;

/** A device of a board: its place, and its node without the place. */
export interface PlatformDevice {
  start: number;
  size: number;
  interrupt: number;
  device: MmioDevice;
  node: FdtNode;
  connect(line: InterruptLine, bus: Bus): void;
}

/** A device class that was loaded. */
export interface LoadedDevice {
  make: DeviceClass;
  options: Readonly<Record<string, string>>;
  /** For messages. */
  name: string;
}

/**
 * Parses the value of `--device`: `URL[,OPTION=VALUE]...`. A data: URL has no options.
 *
 * @throws {RangeError} If it has another form.
 */
export function parseDevice(text: string): DeviceSpec {
  if (/^data:/i.test(text)) return { device: text };
  const [device, ...rest] = text.split(",");
  const options: Record<string, string> = {};
  for (const item of rest) {
    const at = item.indexOf("=");
    if (at <= 0) {
      throw new RangeError(
        `Cannot use the device "${text}": "${item}" is not OPTION=VALUE; in a URL a comma is %2C`,
      );
    }
    options[item.slice(0, at)] = item.slice(at + 1);
  }
  return { device, options };
}

/** Loads a device's module. @throws {BackdoorModuleError | MachineError} If it can't be used. */
export async function loadDevice({ device, options = {} }: DeviceSpec): Promise<LoadedDevice> {
  if (typeof device === "function") return { make: device, options, name: device.name };
  const { exports, name } = await loadModule(device, "device module");
  const made = (exports as { default?: unknown }).default;
  if (typeof made !== "function") {
    throw new MachineError(
      `Cannot use device module ${name}: its default export is ${describeValue(made)}, not a class`,
    );
  }
  return { make: made as DeviceClass, options, name };
}

/** A copy of what a device saves, which may be anything. @throws {TypeError} If a snapshot can't hold it. */
function plainCopy(value: unknown, depth = 0): State {
  if (depth > MAX_DEPTH) throw new TypeError(`it is nested more than ${MAX_DEPTH} times`);
  if (typeof value === "boolean" || typeof value === "string" || typeof value === "bigint") {
    return value;
  }
  if (typeof value === "number" && Number.isFinite(value)) return value;
  if (value instanceof Uint8Array) return value.slice();
  if (Array.isArray(value)) return value.map((each) => plainCopy(each, depth + 1));
  if (typeof value === "object" && value !== null) {
    const { constructor } = Object.getPrototypeOf(value) ?? {};
    if (constructor === undefined || constructor === Object) {
      const entries = Object.entries(value).filter(([, each]) => each !== undefined);
      // A snapshot's own marks.
      if (entries.some(([name]) => name === "#" || name === "@")) {
        throw new TypeError('an object in a snapshot has no members "#" and "@"');
      }
      return Object.fromEntries(entries.map(([name, each]) => [name, plainCopy(each, depth + 1)]));
    }
  }
  throw new TypeError(`a snapshot has no place for ${describeValue(value)}`);
}

/** Stands between the bus and a user's device: nothing that it does harms the machine. */
class Guarded implements MmioDevice {
  readonly #name: string;
  readonly #device: Device;
  readonly #report: (message: string) => void;
  #reports = 0;

  constructor(name: string, device: Device, report: (message: string) => void) {
    this.#name = name;
    this.#device = device;
    this.#report = report;
  }

  #failed(what: string, text: string): void {
    if (this.#reports >= MAX_REPORTS) return;
    const last = ++this.#reports === MAX_REPORTS ? "\n(its further errors are not reported)" : "";
    this.#report(`device ${this.#name}: ${what}: ${text}${last}`);
  }

  read(offset: number, size: number): number | undefined {
    const what = `reading ${size} bytes at ${offset}`;
    try {
      const value: unknown = this.#device.read(offset, size);
      if (value === undefined || typeof value === "number") return value;
      this.#failed(what, `it answers with ${describeValue(value)}, not a number`);
    } catch (error) {
      this.#failed(what, errorText(error));
    }
    return undefined;
  }

  write(offset: number, size: number, value: number): boolean {
    try {
      return this.#device.write(offset, size, value) !== false;
    } catch (error) {
      this.#failed(`writing ${size} bytes at ${offset}`, errorText(error));
      return false;
    }
  }

  /** @throws {SnapshotError} If it can't be saved. */
  save(): State {
    if (!this.#device.save) {
      throw new SnapshotError(`device ${this.#name} can't be saved: it has no function "save"`);
    }
    try {
      return plainCopy(this.#device.save());
    } catch (cause) {
      const why = `its function "save" failed: ${errorText(cause)}`;
      throw new SnapshotError(`device ${this.#name} can't be saved: ${why}`, { cause });
    }
  }

  /** @throws {StateError} If it does not take that. */
  load(state: State): void {
    try {
      if (!this.#device.load) throw new TypeError('it has no function "load"');
      this.#device.load(state);
    } catch (cause) {
      const why = `device ${this.#name} did not take its state: ${errorText(cause)}`;
      throw new StateError(why, { cause });
    }
  }

  close(): void {
    try {
      this.#device.close?.();
    } catch (error) {
      this.#failed("close", errorText(error));
    }
  }
}

/** The devices of one board. */
export class UserDevices {
  readonly platform: PlatformDevice[] = [];
  readonly #guarded: Guarded[] = [];
  /** Whether each wants an interrupt, and how to make it so. */
  readonly #lines: { wanted: () => boolean; set: (on: boolean) => void }[] = [];

  /**
   * Makes the devices.
   *
   * @param report Gets their errors.
   * @param onInterrupt Called after an interrupt changed.
   * @throws {MachineError} If a device can't be made or has no room.
   */
  constructor(
    loaded: readonly LoadedDevice[],
    report: (message: string) => void,
    onInterrupt: () => void,
  ) {
    if (loaded.length > MAX_DEVICES) {
      throw new MachineError(`Cannot add ${loaded.length} devices: ${MAX_DEVICES} are possible`);
    }
    let place = DEVICE_PLACE;
    loaded.forEach(({ make, options, name }, i) => {
      let line: InterruptLine | undefined, bus: Bus | undefined, wanted = false, closed = false;
      const ram = (address: number, length: number) => {
        const offset = Number.isSafeInteger(address) && Number.isSafeInteger(length) && length >= 0
          ? bus?.ramOffset(address, length) ?? -1
          : -1;
        return offset < 0 ? undefined : offset;
      };
      const host: DeviceHost = {
        options,
        interrupt(on) {
          wanted = on === true;
          if (closed) return;
          line?.(wanted);
          onInterrupt();
        },
        readMemory(address, length) {
          const at = ram(address, length);
          return at === undefined ? undefined : bus!.ram.arena.m8.slice(at, at + length);
        },
        writeMemory(address, bytes) {
          const at = ram(address, bytes.length);
          const view = at === undefined ? undefined : bus!.ram.writeView(at, bytes.length);
          view?.set(bytes);
          return view !== undefined;
        },
      };
      this.#lines.push({ wanted: () => wanted, set: (on) => line?.(wanted = on) });
      const { device, size, node } = makeDevice(make, host, name);
      const start = Math.ceil(place / size) * size;
      place = start + size;
      if (place > DEVICE_END) throw new MachineError(`Cannot add device ${name}: there is no room`);
      const guarded = new Guarded(name, device, report);
      this.#guarded.push(guarded);
      const close = guarded.close.bind(guarded);
      guarded.close = () => {
        closed = true;
        close();
      };
      this.platform.push({
        ...{ start, size, device: guarded, node, interrupt: DEVICE_INTERRUPT + i },
        connect(itsLine, itsBus) {
          line = itsLine;
          bus = itsBus;
          line(wanted);
        },
      });
    });
  }

  /** What each device says that it is. */
  get compatible(): string[] {
    return this.platform.map(({ node }) => String(node.properties?.compatible));
  }

  /** The state of each device. @throws {SnapshotError} If one can't be saved. */
  save(): State {
    return this.#guarded.map((device, i) => ({
      compatible: this.compatible[i],
      interrupt: this.#lines[i].wanted(),
      state: device.save(),
    }));
  }

  /** Takes over what {@linkcode save} gave. @throws {StateError} If a device does not take it. */
  restore(state: StateReader): void {
    state.list(this.#guarded.length).forEach((each, i) => {
      this.#guarded[i].load(each.at("state").value());
      this.#lines[i].set(each.at("interrupt").boolean());
    });
  }

  /** Tells the devices that their board is gone. */
  close(): void {
    for (const device of this.#guarded.splice(0)) device.close();
  }
}

/** Makes a device and looks at what it says of itself. */
function makeDevice(make: DeviceClass, host: DeviceHost, name: string) {
  const fail = (why: string, cause?: unknown): never => {
    throw new MachineError(`Cannot add device ${name}: ${why}`, { cause });
  };
  let device: Device;
  try {
    device = new make(host);
  } catch (cause) {
    return fail(`its constructor threw: ${errorText(cause)}`, cause);
  }
  const { size, compatible, name: nodeName = "device", properties = {} } = device;
  if (!(Number.isInteger(size) && size >= 1 && size <= LARGEST)) {
    fail(`its size is ${describeValue(size)}, not 1 to ${LARGEST} bytes`);
  }
  const names: readonly unknown[] = Array.isArray(compatible) ? compatible : [compatible];
  if (names.length === 0 || !names.every((each) => typeof each === "string" && each !== "")) {
    fail(`"compatible" is ${describeValue(compatible)}, not text`);
  }
  if (typeof nodeName !== "string" || !/^[A-Za-z][\w,.+-]{0,30}$/.test(nodeName)) {
    fail(`its name is ${describeValue(nodeName)}, not a name for a device-tree node`);
  }
  for (const member of ["read", "write"] as const) {
    if (typeof device[member] !== "function") fail(`it has no function ${member}`);
  }
  const node: FdtNode = { name: nodeName, properties: { ...properties, compatible } };
  return { device, size: Math.max(SMALLEST, 2 ** Math.ceil(Math.log2(size))), node };
}
