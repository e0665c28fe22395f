/**
 * What the gate runs: the test files, the configurations in which those with guest code are run again, and what is not,
 * with the reason. Longest files first, so that a short one is the last to end.
 *
 * @module
 */
import { ALL_PASSES, type PassOptions } from "../cpu/ir/builder.ts";
import type { UserMachineOptions } from "../machine/machine.ts";

/** A tier by name. */
export type Tier = NonNullable<UserMachineOptions["tier"]>;

/** How guest code is executed. */
export interface Configuration {
  readonly tier: Tier;
  /** The passes that are off. */
  readonly without: readonly (keyof PassOptions)[];
}

/** Tiers in which the functional tests are run with each pass off, and tiers in which with all of them on and off. */
const WITHOUT_EACH_PASS: readonly Tier[] = ["interp"];
const FORCED: readonly Tier[] = ["wasm"];
const PASSES = Object.keys(ALL_PASSES) as (keyof PassOptions)[];

/** Native code, which is compiled at once, too: a C compiler takes some 50 ms for a handful of instructions. */
export const NATIVE: Configuration = { tier: "native", without: [] };

/**
 * What the gate runs natively, some two minutes: every op, random A64 vector code compared with QEMU, programs that call
 * the backdoor at any place, machines with all that is around them, and traps and page faults of system mode. Besides,
 * the plain run has in native_tier_test the wasm tier's own programs and random ones. `deno task native` runs all
 * functional tests, which takes half an hour on two processors.
 */
const NATIVELY: readonly string[] = [
  ...["configuration_test", "backdoor_run_test", "paper_test", "machine_test"],
  ...["interp_ops_test", "vector_ops_test", "vector_float_test", "aarch64_vectors_test"],
  ...["system_spec_test"],
];

/** The configurations in which the functional tests are run, besides the plain run of all tests. */
export const CONFIGURATIONS: readonly Configuration[] = [
  NATIVE,
  ...FORCED.flatMap((tier) => [{ tier, without: [] }, { tier, without: PASSES }]),
  ...WITHOUT_EACH_PASS.flatMap((tier) => PASSES.map((pass) => ({ tier, without: [pass] }))),
];

/** Name of a configuration, as a step of the gate. */
export function nameOf({ tier, without }: Configuration): string {
  return [tier, ...without].join("-");
}

/** The plain run executes this already where wasm is compared with the interpreter. */
const isPlainWasm = ({ tier, without }: Configuration) => tier === "wasm" && without.length === 0;

/** For system mode: the tiers that are forced, without a choice of passes. */
const isPlainOrNative = (c: Configuration) => isPlainWasm(c) || c.tier === "native";

/** The environment that makes a run of the tests one for a configuration. */
export function environmentOf({ tier, without }: Configuration): Record<string, string> {
  return {
    TRAPDOOR_TIER: tier,
    TRAPDOOR_WITHOUT_PASSES: without.join(","),
    // The plain run does all of the random tests.
    TRAPDOOR_SHARE: "0.1",
  };
}

/** Files whose tests execute guest code, and in which configurations they are run again; in all if it does not say. */
export const FUNCTIONAL: Readonly<
  Record<string, { where?: (c: Configuration) => boolean; why?: string }>
> = {
  programs_test: {},
  differential_test: {},
  wasm_fuzz_test: {
    where: (c) => c.tier !== "interp" && !isPlainWasm(c),
    why: "compares compiled code with the interpreter, wasm if nothing else is asked for",
  },
  cli_test: {},
  aarch64_fuzz_test: {},
  wasm_tier_test: {
    where: (c) => c.tier !== "interp" && !isPlainWasm(c),
    why: "compares compiled code with the interpreter, wasm if nothing else is asked for",
  },
  mutation_test: {},
  backdoor_guest_test: {},
  machine_test: {},
  wasm_region_test: {
    where: () => false,
    why: "is about the compiled code's text, and executes none",
  },
  webs_test: {
    where: () => false,
    why: "analyses regions, and executes none",
  },
  configuration_test: {},
  startup_test: {},
  stored_code_test: {},
  translations_test: {
    where: () => false,
    why: "is about stored blocks: it chooses tier and passes itself",
  },
  interp_ops_test: {},
  vector_ops_test: {
    where: (c) => c.tier !== "interp" && !isPlainWasm(c),
    why: "executes each op in the interpreter and compiled, by wasm if nothing else is asked for",
  },
  aarch64_vectors_test: {
    where: (c) => c.tier !== "interp" && !isPlainWasm(c),
    why:
      "compares the interpreter and compiled code, by wasm if nothing else is asked for, with QEMU",
  },
  aarch64_linux_test: {},
  debian_programs_test: {
    where: () => false,
    why: "is about what programs need; programs_test runs others in every configuration",
  },
  aarch64_base_test: {
    where: (c) => c.tier !== "interp" && !isPlainWasm(c),
    why:
      "compares the interpreter and compiled code, by wasm if nothing else is asked for, with QEMU",
  },
  vector_float_test: {
    where: (c) => c.tier !== "interp" && !isPlainWasm(c),
    why: "compares compiled code with the interpreter, wasm if nothing else is asked for",
  },
  wild_test: {},
  backdoor_run_test: {},
  riscv_lift_test: {
    where: ({ tier }) => tier === "interp",
    why: "evaluates an instruction's IR, in no tier",
  },
  riscv_lift_float_test: {
    where: ({ tier }) => tier === "interp",
    why: "evaluates an instruction's IR, in no tier",
  },
  paper_test: {},
  native_tier_test: {
    where: () => false,
    why: "runs the wasm tier's programs in the native tier itself",
  },
  native_system_test: {
    where: () => false,
    why: "compares native code of system mode with the interpreter itself",
  },
  system_boot_test: {
    where: isPlainWasm,
    why: "is about system mode, whose machines have no choice of passes",
  },
  system_qemu_test: {
    where: isPlainOrNative,
    why: "is about system mode, whose machines have no choice of passes",
  },
  system_spec_test: {
    where: isPlainOrNative,
    why: "is about system mode, whose machines have no choice of passes",
  },
  system_mmu_test: {
    where: () => false,
    why: "calls parts of system mode directly",
  },
  system_wild_test: {
    where: isPlainWasm,
    why: "is about system mode, whose machines have no choice of passes",
  },
  system_backdoor_test: {
    where: isPlainWasm,
    why: "is about system mode, whose machines have no choice of passes",
  },
  system_fuzz_test: {
    where: () => false,
    why: "compares compiled code with the interpreter itself",
  },
  system_console_test: {
    where: () => false,
    why: "is about the terminal",
  },
  system_user_device_test: {
    where: isPlainWasm,
    why: "is about system mode, whose machines have no choice of passes",
  },
  system_attached_test: {
    where: isPlainWasm,
    why: "is about system mode, whose machines have no choice of passes",
  },
  system_devices_test: {
    where: () => false,
    why: "calls parts of system mode directly",
  },
  system_transports_test: {
    where: () => false,
    why: "is about system mode, which the interpreter executes",
  },
  system_snapshot_test: {
    where: () => false,
    why: "is about system mode, which the interpreter executes",
  },
  system_counters_test: {
    where: () => false,
    why: "is about system mode, and chooses the tier itself",
  },
  system_tiering_test: {
    where: () => false,
    why: "calls parts of system mode directly",
  },
  system_sbi_test: {
    where: () => false,
    why: "is about system mode, whose tiers have tests of their own",
  },
  system_channel_test: {
    where: () => false,
    why: "is about system mode, which the interpreter executes",
  },
  system_pci_test: {
    where: isPlainWasm,
    why: "is about system mode, whose machines have no choice of passes",
  },
  native_resume_test: {
    where: () => false,
    why: "is about what the native tier leaves for later runs",
  },
  native_cache_test: {
    where: () => false,
    why: "is about files, compilers and permissions, of the native tier alone",
  },
};

/** Files that are run once, and why. */
export const ONCE: Readonly<Record<string, string>> = {
  readme_test: "runs the commands that the pages show, as they stand there",
  guest_build_test: "builds guest programs, and runs none",
  linux_wild_test: "calls the system-call layer directly",
  linux_files_test: "calls the system-call layer directly",
  linux_memory_test: "calls the system-call layer directly",
  linux_sandbox_test: "calls the system-call layer directly",
  linux_signals_test: "calls the system-call layer directly",
  linux_strace_test: "calls the system-call layer directly",
  linux_tasks_test: "calls the system-call layer directly",
  bench_run_test: "measures with tiers of its own choice",
  bench_lib_test: "executes no guest code",
  softfloat_test: "calls softfloat directly",
  layers_test: "reads sources",
  import_url_test: "tests what is loaded from where",
  bundle_test: "tests what is in a bundle",
  compile_hints_test: "rewrites JavaScript",
  ir_builder_test: "evaluates IR with switched passes itself",
  ir_verifier_test: "verifies IR",
  backdoor_ring_test: "has a guest of TypeScript",
  backdoor_channel_test: "has a guest of TypeScript",
  backdoor_define_test: "has a guest of TypeScript",
  backdoor_header_test: "generates text",
  backdoor_loader_test: "loads callback modules",
  backdoor_text_test: "generates text",
  system_network_test: "has a guest of TypeScript",
  system_tcp_test: "calls TCP's state machine directly",
  system_share_test: "has a guest of TypeScript",
  elf_test: "reads files",
  gate_test: "tests the gate",
  suite_test: "reads sources",
  op_numbers_test: "reads sources",
  aarch64_decode_test: "decodes and prints",
  aarch64_allocated_test: "decodes",
  riscv_decode_test: "decodes and prints",
  version_test: "prints",
  wasm_encoder_test: "encodes",
  wasm_module_test: "encodes",
  wasm_opcodes_test: "encodes",
  wasm_text_test: "prints",
};

/** Tests of functional files that don't hold in some configurations. */
export const EXCEPT: readonly {
  readonly file: string;
  readonly test: string;
  readonly where: (c: Configuration) => boolean;
  readonly why: string;
}[] = [
  {
    file: "riscv_lift_test",
    test: "lift makes one record when an instruction is one op",
    where: ({ without }) => without.includes("retarget"),
    why: "counts the records that retargeting saves",
  },
  {
    file: "wasm_fuzz_test",
    test:
      "tierCampaign reports seed, code, registers, IR, wasm and how to replay when a tier is wrong",
    where: ({ tier }) => tier === "native",
    why: "makes the wasm tier wrong",
  },
  {
    file: "cli_test",
    test: "a plain program needs --allow-read of its own file, and nothing more",
    where: ({ tier }) => tier === "native",
    why: "has no permission to compile",
  },
  ...[
    "--version and --help print to standard output when they are given",
    "wrong usage is one line and exit status 2",
    "a callback module that can't be used is named, and what to do, and the guest does not start",
    "a missing permission is named when it is needed",
    "a file that can't be run is named with the reason",
  ].map((test) => ({
    file: "cli_test",
    test,
    where: (c: Configuration) => nameOf(c) !== "auto",
    why: "starts no guest",
  })),
];

/**
 * Paths of the files that a configuration runs, longest first; all files for the plain run.
 *
 * @param all Also those that take too long for the gate.
 */
export function filesOf(configuration?: Configuration, all = false): string[] {
  const few = configuration?.tier === "native" && !all;
  const names = Object.entries(FUNCTIONAL).flatMap(([name, { where }]) => {
    if (few && !NATIVELY.includes(name)) return [];
    return configuration === undefined || where === undefined || where(configuration) ? [name] : [];
  });
  if (configuration === undefined) names.push(...Object.keys(ONCE));
  return names.map((name) => `tests/${name}.ts`);
}

/** How many tests are ignored in a configuration, by {@linkcode EXCEPT}. */
export function exceptions(configuration: Configuration, all = false): number {
  const files = filesOf(configuration, all);
  return EXCEPT.filter(({ file, where }) =>
    files.includes(`tests/${file}.ts`) && where(configuration)
  ).length;
}
