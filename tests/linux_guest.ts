/**
 * A guest without instructions: an address space, a CPU that is only registers, and a fake host, to call the
 * system-call layer directly.
 *
 * @module
 */
import { fail } from "@std/assert";
import type { Abi, LinuxCpu } from "../machine/user/abi.ts";
import { parseElf } from "../machine/user/elf.ts";
import { E, errnoName } from "../machine/user/errno.ts";
import type { Host, HostClock } from "../machine/user/host.ts";
import { denoFiles } from "../machine/user/host_deno.ts";
import { Linux, type LinuxOptions, type Outcome } from "../machine/user/linux.ts";
import { loadProgram } from "../machine/user/loader.ts";
import { RISCV64_ABI } from "../machine/user/riscv_abi.ts";
import { straceTo } from "../machine/user/strace.ts";
import { inputFromBytes } from "../machine/user/streams.ts";
import { AddressSpace } from "../mmu/address_space.ts";
import { Arena } from "../mmu/arena.ts";
import { makeElf } from "./elf_maker.ts";

/** Registers only. */
export class FakeCpu implements LinuxCpu {
  pc = 0x10000n;
  readonly slots: BigInt64Array<ArrayBuffer>;
  readonly bits: number;
  #fcsr = 0n;
  constructor(arena: Arena, bits: number) {
    this.slots = arena.q;
    this.bits = bits;
  }
  #slot(name: string): number {
    const number = Number(name.slice(1));
    if (name[0] === "x") return number;
    return name[0] === "f" ? 32 + number : fail(`no register ${name}`);
  }
  getRegister(name: string): bigint {
    if (name === "fcsr") return this.#fcsr;
    const value = this.slots[this.#slot(name)];
    return BigInt.asUintN(name[0] === "x" ? this.bits : 64, value);
  }
  setRegister(name: string, value: bigint): void {
    if (name === "fcsr") this.#fcsr = value;
    else this.slots[this.#slot(name)] = BigInt.asIntN(name[0] === "x" ? this.bits : 64, value);
  }
}

/** A clock that only sleeping moves. */
export class FakeClock implements HostClock {
  now = 1000;
  /** Passes time at once, without a turn of the event loop in which something else could happen. */
  hasty = false;
  realtime(): number {
    return 1_700_000_000_000 + this.now;
  }
  monotonic(): number {
    return this.now;
  }
  sleep(milliseconds: number): { done: Promise<void>; cancel(): void } {
    // Time passes only if nothing else ends the wait first.
    let cancelled = false;
    const pass = (resolve: () => void) => {
      if (!cancelled) this.now += milliseconds;
      resolve();
    };
    const done = new Promise<void>((resolve) => {
      if (this.hasty) pass(resolve);
      else setTimeout(() => pass(resolve), 0);
    });
    return {
      done,
      cancel: () => {
        cancelled = true;
      },
    };
  }
}

/** What a guest is made with, all optional. */
export interface GuestOptions extends Partial<Omit<LinuxOptions, "host">> {
  host?: Partial<Host>;
  stdin?: string;
  /** Bytes of guest memory, 16 MiB if absent. */
  size?: number;
  /** Keeps no trace and passes time at once. */
  quick?: boolean;
}

/** A call's arguments: numbers, wide numbers, or text that is put into guest memory. */
export type Arg = number | bigint | string;

/** The guest. */
export class Guest {
  readonly memory: AddressSpace;
  readonly cpu: FakeCpu;
  readonly clock = new FakeClock();
  readonly linux: Linux;
  readonly abi: Abi;
  readonly notes: string[] = [];
  readonly trace: string[] = [];
  stdout = "";
  stderr = "";
  /** How the guest ended. */
  outcome: Outcome | undefined;
  /** Names of calls that have succeeded in any guest of this process, by the name of their handler. */
  static readonly succeeded = new Set<string>();
  /** Writable guest memory for buffers: 64 KiB. */
  readonly scratch: number;
  #used = 0;

  constructor(options: GuestOptions = {}) {
    this.clock.hasty = options.quick ?? false;
    this.abi = options.abi ?? RISCV64_ABI;
    this.memory = new AddressSpace(new Arena(options.size ?? 16 << 20));
    this.cpu = new FakeCpu(this.memory.arena, this.abi.bits);
    const code = new Uint8Array(8);
    const elf = parseElf(
      makeElf({ class: this.abi.bits, segments: [{ address: 0x10000, bytes: code }] }),
      "prog",
    );
    const program = loadProgram(this.memory, elf, { argv: ["prog"], hwcap: 0n, random: () => {} });
    const text = new TextDecoder();
    const host: Host = {
      stdin: inputFromBytes(options.stdin ?? ""),
      stdout: { write: (bytes) => void (this.stdout += text.decode(bytes)) },
      stderr: { write: (bytes) => void (this.stderr += text.decode(bytes)) },
      clock: this.clock,
      random: (bytes) => bytes.forEach((_, i) => bytes[i] = i * 7 + 1),
      files: denoFiles,
      pid: 4242,
      ...options.host,
    };
    this.linux = new Linux({
      program,
      exePath: "/prog",
      note: (message) => this.notes.push(message),
      ...(options.quick ? {} : { trace: straceTo((line) => this.trace.push(line)) }),
      ...options,
      abi: this.abi,
      memory: this.memory,
      cpu: this.cpu,
      host,
    });
    this.cpu.setRegister("x2", BigInt(program.sp));
    this.scratch = this.linux.kernel.map.mmap(0, 65536, 3, 0x22, undefined, 0);
  }

  /** Room in scratch memory, 16-byte aligned; {@linkcode reset} frees all of it. */
  alloc(size: number): number {
    const at = this.scratch + this.#used;
    this.#used += Math.ceil(size / 16) * 16;
    if (this.#used > 65536) fail("scratch memory is full");
    return at;
  }
  reset(): void {
    this.#used = 0;
  }
  /** Puts a NUL-terminated string into scratch memory. */
  text(text: string): number {
    const bytes = new TextEncoder().encode(text + "\0");
    const at = this.alloc(bytes.length);
    this.memory.write(at, bytes);
    return at;
  }
  /** Puts 64-bit words into scratch memory. */
  words(...words: (number | bigint)[]): number {
    const at = this.alloc(words.length * 8);
    words.forEach((word, i) => this.memory.writeU64(at + i * 8, BigInt(word)));
    return at;
  }

  #issue(name: string, args: Arg[]): Outcome | undefined | Promise<Outcome | undefined> {
    const row = this.abi.syscalls.find((r) => r[1] === name);
    const values = args.map((arg) => typeof arg === "string" ? this.text(arg) : arg);
    this.cpu.slots[this.abi.nr] = BigInt(row ? row[0] : fail(`no system call ${name}`));
    this.abi.args.forEach((slot, i) => {
      this.cpu.slots[slot] = BigInt.asIntN(64, BigInt(values[i] ?? 0));
    });
    return this.linux.syscall();
  }
  /** The result register, signed. */
  get result(): number {
    return Number(this.cpu.slots[this.abi.result]);
  }
  #done(name: string, outcome: Outcome | undefined): number {
    this.outcome = outcome;
    const { result } = this;
    if (outcome || result >= 0 || result < -4095) {
      const row = this.abi.syscalls.find((r) => r[1] === name)!;
      Guest.succeeded.add(row[4] ?? name);
    }
    return result;
  }

  /** Makes a system call that must return at once. */
  call(name: string, ...args: Arg[]): number {
    const outcome = this.#issue(name, args);
    if (outcome instanceof Promise) fail(`${name} waits`);
    return this.#done(name, outcome);
  }
  /** Makes a system call that may wait. */
  async wait(name: string, ...args: Arg[]): Promise<number> {
    return this.#done(name, await this.#issue(name, args));
  }
  /** Makes a system call that must wait; the promise is that of its result. */
  waits(name: string, ...args: Arg[]): Promise<number> {
    const outcome = this.#issue(name, args);
    if (!(outcome instanceof Promise)) fail(`${name} does not wait`);
    return outcome.then((value) => this.#done(name, value));
  }
  /** Makes a system call and names the result: "ENOENT", or "0". */
  try(name: string, ...args: Arg[]): string {
    const result = this.call(name, ...args);
    return result < 0 && result > -4096 ? errnoName(-result) : String(result);
  }

  /** Opens a path and returns its descriptor. */
  open(path: string, flags = 0, mode = 0o644): number {
    const fd = this.call("openat", -100, path, flags, mode);
    return fd >= 0 ? fd : fail(`open ${path}: ${errnoName(-fd)}`);
  }
  /** Reads a descriptor to its end. */
  readAll(fd: number): string {
    const buffer = this.alloc(1024);
    let text = "";
    for (;;) {
      const count = this.call("read", fd, buffer, 1024);
      if (count < 0) fail(`read: ${errnoName(-count)}`);
      if (count === 0) return text;
      text += new TextDecoder().decode(this.memory.read(buffer, count));
    }
  }
  /** Content of a file. */
  cat(path: string): string {
    const fd = this.open(path);
    const text = this.readAll(fd);
    this.call("close", fd);
    return text;
  }
}

/** Runs a test with a fresh directory of the host, which is removed afterwards. */
export async function withDirectory(test: (path: string) => void | Promise<void>): Promise<void> {
  const path = Deno.realPathSync(Deno.makeTempDirSync({ prefix: "trapdoor-" }));
  try {
    await test(path);
  } finally {
    Deno.removeSync(path, { recursive: true });
  }
}

export { E };
