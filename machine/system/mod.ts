/**
 * Whole machines in a Deno program: harts, devices, firmware. A module of its own, because a program that runs Linux
 * programs need not load it.
 *
 * @module
 */
export * from "./machine.ts";
export { type Drive, MemoryDrive, SnapshotDrive } from "./drive.ts";
export type { Forward, NetworkOptions } from "./net/options.ts";
export type { Share } from "./p9/share.ts";
export type { Device, DeviceClass, DeviceHost, DeviceSpec } from "./user_device.ts";
export type { MmioDevice } from "./devices/device.ts";
export type { FdtValue } from "./fdt.ts";
export type { PeripheralOptions } from "./peripherals.ts";
export type {
  DnsRecord,
  DnsType,
  Endpoint,
  HostDatagrams,
  HostListener,
  HostStream,
  NetworkHost,
} from "./net/host.ts";
export type { VirtioTransportName } from "./virt.ts";
export { type State, StateError, type Stateful, StateReader } from "./state.ts";
