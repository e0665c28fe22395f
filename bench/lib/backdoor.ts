/**
 * The guests of backdoor_bench.ts: endless loops around one event each, which the host starts by setting the pc and
 * ends after so many instructions, so that nothing is measured but the loop.
 *
 * @module
 */

import process from "node:process";
import {
  Config,
  Control,
  DEFAULT_GEOMETRY,
  Doorbell,
  Kind,
  Ring,
} from "../../backdoor/protocol.ts";
import type { Cpu } from "../../backdoor/types.ts";
import { Machine, type UserMachineOptions } from "../../machine/machine.ts";
import { Program } from "./guest.ts";

/** Commands of the callbacks. */
export const Command = {
  /** Reads a register and writes one by their slots. */
  SLOTS: 1,
  /** Reads a register and writes one by their names. */
  NAMES: 2,
  /** Answers by a Promise. */
  ASYNC: 3,
  /** The event. */
  EVENT: 4,
} as const;

/** Numbers of the generic Linux ABI. */
const GETPPID = 173, CLOCK_GETTIME = 113, WRITE = 64, EXIT = 93, CLOCK_THREAD_CPUTIME_ID = 3;
/** Offsets in the program's data: a `struct trapdoor_ring_` of trapdoor.h, a record's first word, a ring. */
const RING_HEADER = 0, RING_LIMIT = 8, RING_MASK = 12, RECORD_WORD = 16, OWN_RING = 0x1000;
/** Bytes of a record with two 64-bit values. */
const RECORD = Ring.RECORD_HEADER + 16;

/** The loops, and how many instructions a turn of each has. */
export const loops = {
  /** Nothing but the loop. */
  empty: 2,
  /** What an instruction call needs besides itself. */
  prepare: 4,
  /** That and an instruction call. */
  instruction: 5,
  /** The store that makes a call through the mapped channel. */
  doorbell: 3,
  /** A whole call through it: what `trapdoor_invoke` writes and reads. */
  control: 11,
  /** `trapdoor_event2`. */
  ring: 18,
  /** What a system call needs besides itself. */
  number: 3,
  /** That and `getppid`. */
  syscall: 4,
} as const;

/** Name of a loop. */
export type Loop = keyof typeof loops;

/** Ends a loop's body. */
function again(p: Program, label: string): void {
  p.i("addi", "s11", "s11", 1).branch("bne", "s11", "zero", label);
}

/** The guest; `attach` says whether it has a channel, otherwise its ring is in its own memory. */
function guest(attach: boolean): Program {
  const p = new Program();
  p.lui("s3", Program.data).lui("s4", DEFAULT_GEOMETRY.ringSize);
  if (attach) {
    p.li("a7", Kind.ATTACH).li("a6", -1).plain("trapdoor");
    p.r("add", "s0", "a2", "zero");
    p.i("ld", "t0", "a0", Config.RING_OFFSET).r("add", "s2", "a1", "t0");
    p.li("t0", Command.SLOTS).s("sd", "t0", Control.COMMAND, "s0");
  } else {
    p.lui("s2", Program.data + OWN_RING);
  }
  p.s("sd", "s2", RING_HEADER, "s3").i("addi", "t0", "s4", -1).s("sw", "t0", RING_MASK, "s3");
  p.li("t0", RECORD).s("sw", "t0", RECORD_WORD, "s3").li("t0", Command.EVENT);
  p.s("sw", "t0", RECORD_WORD + 4, "s3").i("ld", "s5", "s3", RECORD_WORD).li("s6", RECORD - 1);
  p.label("ready").j("ready");

  again(p.label("empty"), "empty");
  again(p.label("prepare").li("a0", 0).li("a6", -1), "prepare");
  again(p.label("instruction").li("a0", 0).li("a6", -1).plain("trapdoor"), "instruction");
  again(p.label("number").li("a7", GETPPID), "number");
  again(p.label("syscall").li("a7", GETPPID).plain("ecall"), "syscall");
  again(p.label("doorbell").s("sw", "t0", Control.DOORBELL, "s0"), "doorbell");
  p.label("control").s("sd", "a1", Control.COMMAND, "s0");
  for (const [i, arg] of (["a2", "a3", "a4", "a5"] as const).entries()) {
    p.s("sd", arg, Control.ARGS + 8 * i, "s0");
  }
  p.s("sd", "a6", Control.STATUS, "s0").s("sw", "t0", Control.DOORBELL, "s0");
  p.i("ld", "t1", "s0", Control.STATUS).i("ld", "t2", "s0", Control.RESULT);
  again(p, "control");

  // trapdoor_event2, instruction by instruction as GCC compiles it.
  p.label("ring").i("ld", "a5", "s3", RING_HEADER).branch("beq", "a5", "zero", "ready");
  p.i("lw", "a6", "a5", Ring.HEAD).i("lw", "a4", "s3", RING_LIMIT);
  p.i("addiw", "a7", "a6", 0).r("subw", "a4", "a4", "a6").branch("bgeu", "s6", "a4", "slow");
  p.i("lw", "a4", "s3", RING_MASK).i("addi", "a3", "a5", Ring.BUFFER);
  p.r("and", "a4", "a4", "a7").r("add", "a4", "a4", "a3");
  p.s("sd", "s5", 0, "a4").s("sd", "s11", 8, "a4").s("sd", "s4", 16, "a4");
  p.i("addiw", "a7", "a7", RECORD).s("sw", "a7", Ring.HEAD, "a5");
  again(p, "ring");
  // Its slow half: flush, pad if the record does not fit before the end, set the new limit.
  p.label("slow").li("a0", 0).li("a6", -1).li("a7", Kind.FLUSH).plain("trapdoor");
  p.i("lw", "t0", "s2", Ring.HEAD).i("addi", "t1", "s4", -1).r("and", "t1", "t0", "t1");
  p.r("sub", "t2", "s4", "t1").branch("bltu", "s6", "t2", "fits");
  p.r("add", "t1", "t1", "s2").li("a4", -1).s("sw", "t2", Ring.BUFFER, "t1");
  p.s("sw", "a4", Ring.BUFFER + Ring.RECORD_COMMAND, "t1");
  p.r("addw", "t0", "t0", "t2").s("sw", "t0", Ring.HEAD, "s2").r("sub", "t2", "s4", "t2");
  p.label("fits").r("addw", "t0", "t0", "t2").s("sw", "t0", RING_LIMIT, "s3").j("ring");
  return p;
}

/** A machine with the guest in it. */
export class BackdoorGuest {
  /** Calls that the callback got. */
  calls = 0;
  /** Events that the callback got. */
  events = 0;
  readonly #machine: Machine;
  readonly #program: Program;

  private constructor(machine: Machine, program: Program) {
    this.#machine = machine;
    this.#program = program;
  }

  /** Makes a machine and lets its guest start; without `callbacks` nobody answers it. */
  static async make(callbacks: boolean, tier: UserMachineOptions["tier"]): Promise<BackdoorGuest> {
    const program = guest(callbacks);
    let made: BackdoorGuest | undefined, from = 0, to = 0;
    // As users write it; the registers' places are looked up once.
    const call = (cpu: Cpu, command: number, argument: number) => {
      made!.calls++;
      switch (command) {
        case Command.SLOTS:
          cpu.slots32[to] = cpu.slots32[from] + 1;
          return argument;
        case Command.NAMES:
          cpu.setRegister("t2", cpu.getRegister("t1"));
          return argument;
        default:
          return Promise.resolve(argument);
      }
    };
    const event = () => {
      made!.events++;
    };
    const machine = await Machine.user({
      program: program.elf(),
      memory: 1 << 24,
      ...(tier ? { tier } : {}),
      ...(callbacks ? { backdoor: { call, event } } : {}),
    });
    from = machine.cpu.register("t1").slot * 2;
    to = machine.cpu.register("t2").slot * 2;
    await machine.run(200);
    if (machine.cpu.pc !== program.address("ready")) throw new Error("The guest did not start");
    return made = new BackdoorGuest(machine, program);
  }

  /**
   * Runs a loop.
   *
   * @param command Of the calls in it.
   * @returns CPU nanoseconds for each turn, of all threads of this process.
   */
  async run(loop: Loop, turns: number, command: number = Command.SLOTS): Promise<number> {
    const { cpu } = this.#machine;
    cpu.setRegister("pc", this.#program.address(loop));
    cpu.setRegister("a1", command);
    cpu.setRegister("a7", Kind.CALL);
    cpu.setRegister("t0", Doorbell.CALL);
    cpu.setRegister("s11", 1);
    const start = process.cpuUsage();
    const { reason } = await this.#machine.run(turns * loops[loop]);
    const { user, system } = process.cpuUsage(start);
    if (reason !== "limit") throw new Error(`The loop ${loop} ended: ${reason}`);
    return (user + system) * 1000 / turns;
  }
}

/** Turns of each loop of {@linkcode syscallProgram}. */
const SYSCALL_TURNS = 0x4_0000;

/** A program that writes its CPU time before, between and after a loop around nothing and one around `getppid`. */
export function syscallProgram(): Uint8Array<ArrayBuffer> {
  const p = new Program();
  p.lui("s3", Program.data);
  const clock = (at: number) =>
    p.li("a0", CLOCK_THREAD_CPUTIME_ID).i("addi", "a1", "s3", at).li("a7", CLOCK_GETTIME).plain(
      "ecall",
    );
  const loop = (label: string, body: () => void) => {
    p.lui("s11", SYSCALL_TURNS).label(label).li("a7", GETPPID);
    body();
    p.i("addi", "s11", "s11", -1).branch("bne", "s11", "zero", label);
  };
  clock(0);
  loop("number", () => {});
  clock(16);
  loop("syscall", () => p.plain("ecall"));
  clock(32);
  p.li("a0", 1).i("addi", "a1", "s3", 0).li("a2", 48).li("a7", WRITE).plain("ecall");
  p.li("a0", 0).li("a7", EXIT).plain("ecall");
  return p.elf();
}

/** Runs a {@linkcode syscallProgram} in an emulator; returns CPU nanoseconds for each system call. */
export async function syscallTime(emulator: string, program: string): Promise<number> {
  const command = new Deno.Command(emulator, { args: [program], stdin: "null" });
  const { success, code, stdout } = await command.output();
  if (!success || stdout.length !== 48) {
    throw new Error(`'${emulator} ${program}' ends with ${code} and ${stdout.length} bytes`);
  }
  const view = new DataView(stdout.buffer, stdout.byteOffset);
  const [a, b, c] = [0, 16, 32].map((at) =>
    Number(view.getBigInt64(at, true)) * 1e9 + Number(view.getBigInt64(at + 8, true))
  );
  return (c - b - (b - a)) / SYSCALL_TURNS;
}
