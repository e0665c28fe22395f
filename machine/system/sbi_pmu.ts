/**
 * Performance monitoring for a supervisor: the SBI's extension PMU.
 *
 * Its counters are the harts' event counters; `cycle` and `instret` are not handed out, since they can't be filtered by
 * privilege level or interrupt. There are no firmware events.
 *
 * Source: RISC-V Supervisor Binary Interface Specification, version 2.0, chapter 11.
 *
 * @module
 */
import { COUNTERS, FIRST_COUNTER, LCOFI } from "../../cpu/riscv/counters.ts";
import type { RiscvHart } from "../../cpu/riscv/hart.ts";
import { Err, fail, ok, type Result } from "./sbi_result.ts";

/** Functions. */
const Fn = { COUNT: 0, INFO: 1, MATCH: 2, START: 3, STOP: 4 } as const;
/** Events: type in bits 19 to 16. */
const EVENT_TYPE = 0xf_0000n, RAW = 0x2_0000n, CYCLES = 1n, INSTRUCTIONS = 2n;
/** Flags of MATCH. */
const Match = { SKIP: 1n, CLEAR: 2n, START: 4n, UINH: 32n, SINH: 64n, MINH: 128n } as const;
/** Flags of START and STOP. */
const INITIAL = 1n, RESET = 1n;
/** mhpmevent: overflow; levels that are not counted. */
const OF = 1n << 63n, MINH = 1n << 62n, SINH = 1n << 61n, UINH = 1n << 60n;
/** CSR of the first counter that a supervisor may read (cycle), and bits of a counter, less 1. */
const FIRST_CSR = 0xc00, WIDTH = 63;

const bit = (counter: number) => 1n << BigInt(FIRST_COUNTER + counter);

/** Serves one call for a hart. @param args a0 to a5. */
export function servePmu(fid: number, args: readonly bigint[], hart: RiscvHart): Result {
  switch (fid) {
    case Fn.COUNT:
      // Numbers are those of the CSRs: 0 to 2 are not there.
      return ok(FIRST_COUNTER + COUNTERS);
    case Fn.INFO: {
      const index = args[0], first = BigInt(FIRST_COUNTER);
      if (index < first || index >= first + BigInt(COUNTERS)) return fail(Err.INVALID_PARAM);
      return ok(FIRST_CSR + Number(index) | WIDTH << 12);
    }
    case Fn.MATCH:
      return match(args, hart);
    case Fn.START:
      return eachCounter(args, (counters) => start(counters, args, hart));
    case Fn.STOP:
      return eachCounter(args, (counters) => stop(counters, args[2], hart));
    default:
      return fail(Err.NOT_SUPPORTED);
  }
}

/** The counters of a mask, by their numbers from 0; undefined if one of them is none. */
function countersOf(base: bigint, mask: bigint): number[] | undefined {
  const found: number[] = [];
  for (let i = 0n; mask >> i !== 0n; i++) {
    if ((mask >> i & 1n) === 0n) continue;
    const counter = base + i - BigInt(FIRST_COUNTER);
    if (counter < 0n || counter >= BigInt(COUNTERS)) return undefined;
    found.push(Number(counter));
  }
  return found;
}

function eachCounter(args: readonly bigint[], what: (counters: number[]) => Result): Result {
  const counters = countersOf(args[0], args[1]);
  return counters === undefined || counters.length === 0 ? fail(Err.INVALID_PARAM) : what(counters);
}

function isRunning(hart: RiscvHart, counter: number): boolean {
  return (hart.mcountinhibit & bit(counter)) === 0n;
}

function setRunning(hart: RiscvHart, counter: number, on: boolean): void {
  hart.counters.poll();
  hart.mcountinhibit = on ? hart.mcountinhibit & ~bit(counter) : hart.mcountinhibit | bit(counter);
  hart.counters.update();
}

function match(args: readonly bigint[], hart: RiscvHart): Result {
  const [base, mask, flags, event, data] = args, { counters } = hart;
  const wanted = countersOf(base, mask);
  if (wanted === undefined || wanted.length === 0) return fail(Err.INVALID_PARAM);
  const kind = (event & EVENT_TYPE) === RAW ? data : event;
  if (kind !== CYCLES && kind !== INSTRUCTIONS) return fail(Err.NOT_SUPPORTED);
  const skip = (flags & Match.SKIP) !== 0n;
  const counter = skip ? wanted[0] : wanted.find((each) => (counters.event(each) & ~OF) === 0n);
  if (counter === undefined) return fail(Err.NOT_SUPPORTED);
  if (!skip) {
    // It stands still until it is started.
    setRunning(hart, counter, false);
    const levels = (flags & Match.MINH ? MINH : 0n) | (flags & Match.SINH ? SINH : 0n) |
      (flags & Match.UINH ? UINH : 0n);
    counters.setEvent(counter, kind | levels);
  }
  if (flags & Match.CLEAR) counters.setValue(counter, 0n);
  if (flags & Match.START) setRunning(hart, counter, true);
  return ok(FIRST_COUNTER + counter);
}

function start(counters: number[], args: readonly bigint[], hart: RiscvHart): Result {
  const flags = args[2], value = hart.xlen === 32 ? args[4] << 32n | args[3] : args[3];
  if ((flags & ~INITIAL) !== 0n) return fail(Err.NOT_SUPPORTED);
  let error: number = Err.SUCCESS;
  for (const counter of counters) {
    const event = hart.counters.event(counter);
    if ((event & ~OF) === 0n) return fail(Err.INVALID_PARAM);
    if (isRunning(hart, counter)) {
      error = Err.ALREADY_STARTED;
      continue;
    }
    if (flags & INITIAL) hart.counters.setValue(counter, value);
    // The next overflow is to be told of.
    hart.counters.setEvent(counter, event & ~OF);
    setRunning(hart, counter, true);
  }
  return error === Err.SUCCESS ? ok() : fail(error);
}

function stop(counters: number[], flags: bigint, hart: RiscvHart): Result {
  if ((flags & ~RESET) !== 0n) return fail(Err.NOT_SUPPORTED);
  let error: number = Err.SUCCESS;
  for (const counter of counters) {
    if (isRunning(hart, counter)) setRunning(hart, counter, false);
    else error = Err.ALREADY_STOPPED;
    if (flags & RESET) hart.counters.setEvent(counter, 0n);
  }
  return error === Err.SUCCESS ? ok() : fail(error);
}

/** What firmware does before a supervisor starts: all counters stand still and are free. */
export function resetPmu(hart: RiscvHart): void {
  for (let counter = 0; counter < COUNTERS; counter++) {
    hart.counters.setEvent(counter, 0n);
    setRunning(hart, counter, false);
  }
  hart.softIp &= ~LCOFI;
}
