/**
 * What differs between hosts: names, flags, places. Tested on Linux x86-64; the rest is written from the manuals.
 *
 * @module
 */

const { os, arch } = Deno.build;

/** Features of the processor, in the second word of `REPLY` after a handshake. */
export const Feature = { FMA: 1, BMI: 2, BMI2: 4, LZCNT: 8, POPCNT: 16 } as const;

/** Name of this host in cache keys. */
export const HOST = `${os}-${arch}`;

/** Suffix of shared libraries. */
export const SUFFIX: string = os === "windows" ? ".dll" : os === "darwin" ? ".dylib" : ".so";

/** Commands of C compilers, in the order in which they are tried. MSVC has no `__int128` and no computed goto. */
export const COMPILERS: readonly string[] = os === "windows" ? ["clang", "gcc"] : [
  "cc",
  "clang",
  "gcc",
];

/** Environment variables that the tier reads. */
export const VARIABLES: readonly string[] = [
  "TRAPDOOR_CC",
  "TRAPDOOR_CACHE",
  "TRAPDOOR_NATIVE",
  "PATH",
  ...(os === "windows"
    ? ["LOCALAPPDATA"]
    : os === "darwin"
    ? ["HOME"]
    : ["XDG_CACHE_HOME", "HOME"]),
];

/** Whether a process may have a group of its own, which a signal to its negative number reaches. */
export const PROCESS_GROUPS: boolean = os !== "windows";

/** Where this user's programs keep what can be made again; undefined if that is not known. */
export function cacheBase(variable: (name: string) => string | undefined): string | undefined {
  switch (os) {
    case "windows":
      return variable("LOCALAPPDATA");
    case "darwin": {
      const home = variable("HOME");
      return home && `${home}/Library/Caches`;
    }
    default: {
      // The XDG Base Directory Specification: relative paths are to be ignored.
      const xdg = variable("XDG_CACHE_HOME"), home = variable("HOME");
      return xdg?.startsWith("/") ? xdg : home && `${home}/.cache`;
    }
  }
}

/** Why this host can't have the tier; undefined if it can. */
export function unsupported(): string | undefined {
  // The sign of a shift, sizes of integers and 64-bit pointers are assumed; so is little-endian memory.
  return ["x86_64", "aarch64"].includes(arch) ? undefined : `not written for ${arch} processors`;
}

/** Whether the processor's operations tell of tiny results as guests do, so that only NaNs are to be looked at. */
export const LATE_NANS = arch === "x86_64";

/** The path of a command; undefined if there is none. */
export function findCommand(name: string, path: string): string | undefined {
  const windows = os === "windows";
  const candidates = /[\\/]/.test(name)
    ? [name]
    : path.split(windows ? ";" : ":").filter(Boolean).map((folder) => `${folder}/${name}`);
  for (const candidate of candidates) {
    for (const file of windows ? [candidate, `${candidate}.exe`] : [candidate]) {
      try {
        const { isFile, mode } = Deno.statSync(file);
        if (isFile && (windows || mode === null || (mode & 0o111) !== 0)) return file;
      } catch (error) {
        const absent = error instanceof Deno.errors.NotFound ||
          error instanceof Deno.errors.NotADirectory || error instanceof Deno.errors.NotCapable ||
          error instanceof Deno.errors.PermissionDenied;
        if (!absent) throw error;
      }
    }
  }
  return undefined;
}

/** Flags for every compilation. */
const COMMON: readonly string[] = [
  "-x",
  "c",
  "-std=gnu11",
  "-shared",
  ...(os === "windows" ? [] : ["-fPIC"]),
  // A translation calls what moves extents from the middle of a function (unit.h).
  ...(arch === "x86_64" ? ["-mno-red-zone"] : []),
  "-fvisibility=hidden",
  "-fno-strict-aliasing",
  "-fno-stack-protector",
  "-fno-asynchronous-unwind-tables",
  "-w",
];

/** Flags for the helper. */
export const HELPER_FLAGS: readonly string[] = [
  ...COMMON,
  "-O2",
  // To round where the guest's mode says.
  "-frounding-math",
];
/** Libraries for the helper, behind the source. */
export const HELPER_LIBRARIES: readonly string[] = os === "linux" ? ["-ldl", "-lm"] : [];

/** Flags for translations on a processor with some features. */
export function unitFlags(features: number, level: number): readonly string[] {
  const machine: [number, string][] = [
    [Feature.FMA, "-mfma"],
    [Feature.BMI, "-mbmi"],
    [Feature.BMI2, "-mbmi2"],
    [Feature.LZCNT, "-mlzcnt"],
    [Feature.POPCNT, "-mpopcnt"],
  ];
  return [
    ...COMMON,
    `-O${level}`,
    // Merged 16-byte loads of slots defeat store forwarding.
    "-fno-tree-slp-vectorize",
    "-ffp-contract=off",
    "-frounding-math",
    "-fno-math-errno",
    ...machine.filter(([feature]) => (features & feature) !== 0).map(([, flag]) => flag),
    // Nothing of the C library, unless fused multiply-add needs it.
    ...(arch === "x86_64" && (features & Feature.FMA) === 0 ? [] : ["-nostdlib"]),
  ];
}

/** Libraries for translations, behind the source. */
export function unitLibraries(features: number): readonly string[] {
  return arch === "x86_64" && (features & Feature.FMA) === 0 ? ["-lm"] : [];
}
