/*
 * Five bodies under gravity in double precision, symplectic Euler steps: multiplications,
 * divisions and square roots. Rounding errors grow, so the checksum sees every last place.
 */
#include "bench.h"

enum { BODIES = 5 };

typedef struct body {
  double x, y, z, vx, vy, vz, mass;
} body;

static body bodies[BODIES] = {
    {0, 0, 0, 0, 0, 0, 40},
    {5, -1, 0.125, 0.25, 2.5, 0.0625, 0.04},
    {8, 4, -0.5, -1, 1.75, 0.03125, 0.01},
    {-12, 9, 0.25, -0.75, -1.25, 0.125, 0.002},
    {15, -25, 0.75, 1, 0.5, -0.0625, 0.0025},
};

static BENCH_NOINLINE void advance(double dt) {
  for (int i = 0; i < BODIES; i++) {
    body *a = &bodies[i];
    for (int j = i + 1; j < BODIES; j++) {
      body *b = &bodies[j];
      double dx = a->x - b->x, dy = a->y - b->y, dz = a->z - b->z;
      double square = dx * dx + dy * dy + dz * dz + 1e-6;
      double force = dt / (square * __builtin_sqrt(square));
      a->vx -= dx * b->mass * force;
      a->vy -= dy * b->mass * force;
      a->vz -= dz * b->mass * force;
      b->vx += dx * a->mass * force;
      b->vy += dy * a->mass * force;
      b->vz += dz * a->mass * force;
    }
  }
  for (int i = 0; i < BODIES; i++) {
    bodies[i].x += dt * bodies[i].vx;
    bodies[i].y += dt * bodies[i].vy;
    bodies[i].z += dt * bodies[i].vz;
  }
}

static uint64_t kernel(unsigned long scale) {
  for (unsigned long step = 0; step < scale * 4000; step++) advance(0.001);
  uint64_t sum = 0;
  for (int i = 0; i < BODIES; i++) {
    sum = bench_mix_double(sum, bodies[i].x);
    sum = bench_mix_double(sum, bodies[i].y);
    sum = bench_mix_double(sum, bodies[i].z);
  }
  return sum;
}

BENCH_MAIN("nbody", kernel)
