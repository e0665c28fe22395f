/** Host side of wait.c: `deno run -A mod.ts --backdoor guest/examples/wait.ts guest/bin/riscv64/wait` */
import { type CallResult, type Cpu, NOT_HANDLED } from "../../backdoor/types.ts";

const FETCH = 1;

let server: Deno.HttpServer<Deno.NetAddr> | undefined;

/** A page that takes 100 ms, so that there is something to wait for without a network. */
function slowPage(): URL {
  server ??= Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async () => {
    await new Promise((done) => setTimeout(done, 100));
    return new Response("good things come to those who wait");
  });
  return new URL(`http://127.0.0.1:${server.addr.port}/`);
}

export async function call(cpu: Cpu, command: number, length: number): Promise<CallResult> {
  if (command !== FETCH) return NOT_HANDLED;
  const url = new TextDecoder().decode(cpu.data.subarray(0, length)) || slowPage();
  const started = performance.now();
  const response = await fetch(url);
  if (!response.ok) throw new Error(`Cannot fetch ${url}: ${response.status}`);
  const body = (await response.bytes()).subarray(0, cpu.data.length);
  cpu.data.set(body);
  const seconds = (performance.now() - started) / 1000;
  console.log(`host: fetched ${body.length} bytes in ${seconds.toFixed(1)} s; the guest slept`);
  return body.length;
}

export async function fini(): Promise<void> {
  await server?.shutdown();
}
