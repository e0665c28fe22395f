/**
 * What a callback module imports: the types of its exports, and typed channels.
 *
 * @example A typed channel, from which `backdoor/header.ts` makes the guest's C header
 * ```ts
 * import { command, defineChannel, u32, u64 } from "./mod.ts";
 *
 * export default defineChannel({
 *   bytes: command(1, { length: u32 }, u64, (cpu, { length }) => new Set(cpu.data.subarray(0, length)).size),
 * });
 * ```
 *
 * @module
 */
export type { CallbackModule, CallResult, Channel, Cpu, EventResult } from "./types.ts";
export { NOT_HANDLED } from "./types.ts";
export {
  type Answer,
  type AnyMember,
  type Command,
  command,
  defineChannel,
  type Definition,
  type Event,
  event,
  type Fields,
  type TypedChannel,
  type Values,
} from "./define.ts";
export {
  type AnyType,
  bool,
  f64,
  i16,
  i32,
  i64,
  i8,
  none,
  ptr,
  u16,
  u32,
  u64,
  u8,
  type ValueType,
  type Words,
} from "./value_types.ts";
export { channelHeader, type HeaderOptions } from "./c_header.ts";
