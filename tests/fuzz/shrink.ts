/**
 * Makes a failing program small: drops pieces, unwraps loops and branches, zeroes registers and memory.
 *
 * @module
 */
import { BASE } from "./layout.ts";
import { flatten, type Item, type Program } from "./program.ts";

/** Whether a program still fails; it must not throw. */
export type Fails = (program: Program) => boolean | Promise<boolean>;

/** A copy without the pieces in `drop`; those in `unwrap` are replaced by their bodies. */
function rebuild(items: readonly Item[], drop: Set<Item>, unwrap: Set<Item>): Item[] {
  return items.flatMap((each) => {
    if (drop.has(each)) return [];
    const body = rebuild(each.body, drop, unwrap);
    if (unwrap.has(each)) return body;
    // Labels and the rest are shared: what refers to the piece refers to its copy, too.
    return [{ ...each, body }];
  });
}

/** The smallest failing program that was found within `budget` attempts. */
export async function shrink(program: Program, fails: Fails, budget = 600): Promise<Program> {
  let best = program;
  const attempt = async (candidate: Program): Promise<boolean> => {
    if (budget-- <= 0 || !await fails(candidate)) return false;
    best = candidate;
    return true;
  };
  const without = (drop: readonly Item[], unwrap: readonly Item[] = []) => {
    const dropped = new Set(drop), unwrapped = new Set(unwrap);
    return {
      ...best,
      items: rebuild(best.items, dropped, unwrapped),
      functions: best.functions.map((f) => ({
        ...f,
        body: rebuild(f.body, dropped, unwrapped),
      })),
    };
  };
  const all = () => flatten([...best.items, ...best.functions.flatMap((f) => f.body)]);

  let before = Infinity;
  while (budget > 0 && all().length < before) {
    before = all().length;
    for (let size = Math.max(1, before >> 1); size >= 1; size >>= 1) {
      for (let at = 0; at < all().length && budget > 0;) {
        if (!await attempt(without(all().slice(at, at + size)))) at += size;
      }
    }
    for (const each of all()) {
      if (each.body.length > 0 && budget > 0) await attempt(without([], [each]));
    }
  }

  // The state gets attempts of its own.
  budget = 150;
  const withState = (state: Partial<Program["state"]>) => ({
    ...best,
    state: { ...best.state, ...state },
  });
  await attempt({ ...best, gap: 0 });
  await attempt(withState({ memory: 0 }));
  await attempt(withState({ fcsr: 0 }));
  const zero = (values: readonly bigint[], keep: readonly number[]) =>
    values.map((value, i) => i === best.base || keep.includes(i) ? value : 0n);
  await attempt(withState({ f: best.state.f.map(() => 0n) }));
  await attempt(withState({ x: zero(best.state.x, []).with(best.base, BigInt(BASE)) }));
  for (let i = 0; i < 32; i++) {
    if (best.state.f[i] !== 0n) await attempt(withState({ f: best.state.f.with(i, 0n) }));
    if (best.state.x[i] !== 0n && i !== best.base) {
      await attempt(withState({ x: best.state.x.with(i, 0n) }));
    }
  }
  return best;
}
