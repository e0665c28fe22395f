/**
 * Copies of functions with feedback of their own.
 *
 * @module
 */

let copies = 0;

/**
 * A copy of a function's text of its own. V8 treats what a closure captures as constants only while there is no second
 * closure of the same function, and what a function calls as known only while it is always the same. The text may name
 * nothing but its parameters and what is global.
 */
export function fresh<F extends (...args: never[]) => unknown>(make: F): F {
  try {
    // The number: V8 would take equal text from its cache of evaluated code, with one function for all machines.
    return new Function(`return ${make.toString()} // ${copies++}`)() as F;
  } catch (error) {
    // Code generation from strings is switched off here: slower, but the same.
    if (error instanceof EvalError) return make;
    throw error;
  }
}
