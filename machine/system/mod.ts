/**
 * Whole machines in a Deno program: harts, devices, firmware. A module of its own, because a program that runs Linux
 * programs need not load it.
 *
 * @module
 */
export * from "./machine.ts";
export { type Drive, MemoryDrive, SnapshotDrive } from "./drive.ts";
export type { VirtioTransportName } from "./virt.ts";
export { type State, StateError, type Stateful, StateReader } from "./state.ts";
