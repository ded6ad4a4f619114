"""C sources of the compiled sweeps; `_compiled` builds them, once with ``real`` float and once with double.

``SHARED`` is for samples that share C (N, N) and have their own free rows. A sample goes from start to end before the
next begins, on the rows that are free alone: what the others add to a gradient never changes. Its part of C is copied
into panels of ROWS rows, so that a vector that is loaded serves ROWS sums in registers; inside a panel the rows still
change one after the other.

``OWN`` is for instances with an S of their own: v_i <- normalize((own_i + keep) v_i - S_i' Z), Z = S V kept up to date.

``fell`` is the decrease of <V, C V>: row i changes it by 2 g.(new - old), with g the negative of what is normalized.
"""

_COMMON = r"""
#include <math.h>
#include <string.h>

/* out: minus the gradient; writes out / ||out|| over x, adds to *fell, and returns the largest change of an entry. */
static real replace(real *x, real *out, long k, real own, real keep, double *fell) {
  double squares[8] = {0}, inners[8] = {0}, pulls[8] = {0}, square = 0, inner = 0, pull = 0;
  real most[8] = {0}, largest = 0;
  for (long c0 = 0; c0 < k; c0 += 8) for (int c = 0; c < 8; c++) {
    const real g = out[c0 + c] + own * x[c0 + c], all = g + keep * x[c0 + c];
    inners[c] += (double)g * x[c0 + c]; pulls[c] += (double)g * g; squares[c] += (double)all * all; out[c0 + c] = all;
  }
  for (int c = 0; c < 8; c++) { square += squares[c]; inner += inners[c]; pull += pulls[c]; }
  const double norm = sqrt(square);
  const real scale = (real)(1 / norm);
  for (long c0 = 0; c0 < k; c0 += 8) for (int c = 0; c < 8; c++) {
    const real fresh = out[c0 + c] * scale, change = fresh - x[c0 + c], size = change < 0 ? -change : change;
    most[c] = size > most[c] ? size : most[c];
    out[c0 + c] = change; x[c0 + c] = fresh;
  }
  for (int c = 0; c < 8; c++) if (most[c] > largest) largest = most[c];
  *fell += 2 * (sqrt(pull) - inner);
  return largest;
}
"""

SHARED = (
    _COMMON
    + r"""
#ifdef __AVX512F__ /* as many sums as registers hold beside the vectors that they take */
#define BYTES 64
#define ROWS 8
#else
#define BYTES 32
#define ROWS 4
#endif
#define LANES (long)(BYTES / sizeof(real))
typedef real vec __attribute__((vector_size(BYTES), aligned(sizeof(real)), may_alias));

/* out (ROWS, k) += sum over from <= j < to of p_j (ROWS) times row j of v: COLUMNS vectors of it. */
#define SUMS(COLUMNS) { vec sum[ROWS][COLUMNS]; \
  for (int r = 0; r < ROWS; r++) for (int c = 0; c < COLUMNS; c++) sum[r][c] = *(vec *)(out + r * k + c0 + c * LANES); \
  for (long j = from; j < to; j++) { const real *w = p + j * ROWS; vec x[COLUMNS]; \
    for (int c = 0; c < COLUMNS; c++) x[c] = *(const vec *)(v + j * k + c0 + c * LANES); \
    for (int r = 0; r < ROWS; r++) for (int c = 0; c < COLUMNS; c++) sum[r][c] += w[r] * x[c]; } \
  for (int r = 0; r < ROWS; r++) for (int c = 0; c < COLUMNS; c++) *(vec *)(out + r * k + c0 + c * LANES) = sum[r][c]; \
  c0 += COLUMNS * LANES; }
static void sums(const real *p, const real *v, long from, long to, long k, real *out) {
  long c0 = 0;
  while (k - c0 >= 2 * LANES) SUMS(2)
  while (k - c0 >= LANES) SUMS(1)
}

/* Indices of the free rows of a sample, then of the others; returns how many are free. */
static long sort_rows(const unsigned char *free_, long N, long *rows) {
  long count = 0, last = N;
  for (long i = 0; i < N; i++) if (free_[i]) rows[count++] = i; else rows[--last] = i;
  return count;
}

/* C at rows[first..last), rows[0..n): entry j * ROWS + r of panel b is C[rows[b * ROWS + r], rows[first + j]]. */
static void fill(const real *C, long N, const long *rows, long n, long first, long last, real *panels) {
  const long count = last - first;
  for (long j0 = 0; j0 < count; j0 += 16) for (long i = 0; i < n; i += ROWS) {
    real *p = panels + i * count;
    for (long j = j0; j < count && j < j0 + 16; j++) {
      const real *c = C + rows[first + j] * N;
      for (long r = 0; r < ROWS; r++) p[j * ROWS + r] = i + r < n ? c[rows[i + r]] : 0;
    }
  }
}

/* Coordinate descent: x_i <- -g_i / ||g_i||, until the objective changes by at most tol of itself (or, where tol is 0,
   no entry by more than `still`). C is symmetric with a zero diagonal. Returns the largest number of sweeps. */
long descend(const real *C, real *V, const unsigned char *free_, double *objective, long *rows, real *panels,
             real *work, long B, long N, long k, real keep, long most_sweeps, double tol, double still) {
  long most = 0;
  for (long b = 0; b < B; b++) {
    real *v = V + b * N * k, *x = work, *fixed = work + (N + ROWS) * k, *out = fixed + (N + ROWS) * k;
    const long n = sort_rows(free_ + b * N, N, rows);
    for (long i = 0; i < N; i++) memcpy(x + i * k, v + rows[i] * k, sizeof(real) * k);
    memset(fixed, 0, sizeof(real) * (n + ROWS) * k);
    fill(C, N, rows, n, n, N, panels);
    for (long i = 0; i < n; i += ROWS) sums(panels + i * (N - n), x + n * k, 0, N - n, k, fixed + i * k);
    fill(C, N, rows, n, 0, n, panels);
    long sweep = 0;
    while (sweep < most_sweeps) {
      double fell = 0; real moved = 0;
      for (long i = 0; i < n; i += ROWS) {
        const real *p = panels + i * n;
        const long end = i + ROWS < n ? i + ROWS : n;
        memcpy(out, fixed + i * k, sizeof(real) * ROWS * k);
        sums(p, x, 0, i, k, out);
        sums(p, x, end, n, k, out);
        for (long r = i; r < end; r++) {
          real *g = out + (r - i) * k;
          for (long s = i; s < end; s++) {
            const real w = p[s * ROWS + r - i];
            for (long c = 0; c < k; c++) g[c] += w * x[s * k + c];
          }
          for (long c = 0; c < k; c++) g[c] = -g[c];
          const real m = replace(x + r * k, g, k, 0, keep, &fell);
          if (m > moved) moved = m;
        }
      }
      objective[b] -= fell;
      if (++sweep > 1 && (tol == 0 ? moved <= still : fabs(fell) <= tol * fabs(objective[b]))) break;
    }
    if (sweep > most) most = sweep;
    for (long i = 0; i < n; i++) memcpy(v + rows[i] * k, x + i * k, sizeof(real) * k);
  }
  return most;
}

static double dot(const real *a, const real *b, long n) {
  double sum[8] = {0}, all = 0;
  for (long i = 0; i < n; i += 8) for (int c = 0; c < 8; c++) sum[c] += (double)a[i + c] * b[i + c];
  for (int c = 0; c < 8; c++) all += sum[c];
  return all;
}

/* y (n, k) <- its part orthogonal to v, row by row. */
static void tangent(real *y, const real *v, long n, long k) {
  for (long i = 0; i < n; i++) {
    const real inner = (real)dot(y + i * k, v + i * k, k);
    for (long c = 0; c < k; c++) y[i * k + c] -= inner * v[i * k + c];
  }
}

/* Conjugate gradients for P_o(w_o u_o + sum_j C_oj u_j) = P_o grad_o, preconditioned by 1 / w_o; w_o is ||g_o|| plus
   damping times its mean. */
void solve(const real *C, const real *V, const unsigned char *free_, const real *grad, real *U, long *rows,
           real *panels, real *work, long B, long N, long k, long iterations, double damping,
           double target) {
  const long size = (N + ROWS) * k;
  real *x = work, *r = x + size, *p = r + size, *u = p + size, *Ap = u + size, *weight = Ap + size, *scale = weight + N;
  for (long b = 0; b < B; b++) {
    const real *v = V + b * N * k;
    const long n = sort_rows(free_ + b * N, N, rows), m = n * k;
    for (long i = 0; i < N; i++) memcpy(x + i * k, v + rows[i] * k, sizeof(real) * k);
    for (long i = 0; i < n; i++) memcpy(r + i * k, grad + (b * N + rows[i]) * k, sizeof(real) * k);
    memset(Ap, 0, sizeof(real) * (n + ROWS) * k);
    memset(u, 0, sizeof(real) * m);
    fill(C, N, rows, n, n, N, panels);
    for (long i = 0; i < n; i += ROWS) sums(panels + i * (N - n), x + n * k, 0, N - n, k, Ap + i * k);
    fill(C, N, rows, n, 0, n, panels);
    for (long i = 0; i < n; i += ROWS) sums(panels + i * n, x, 0, n, k, Ap + i * k);
    double mean = 0;
    for (long i = 0; i < n; i++) mean += (weight[i] = (real)sqrt(dot(Ap + i * k, Ap + i * k, k))) / (double)n;
    real largest = 0;
    for (long i = 0; i < n; i++) {
      weight[i] += (real)(damping * mean);
      if (weight[i] > largest) largest = weight[i];
    }
    const real least = largest * (real)1e-3 > (real)1e-30 ? largest * (real)1e-3 : (real)1e-30;
    for (long i = 0; i < n; i++) scale[i] = 1 / (weight[i] > least ? weight[i] : least);
    tangent(r, x, n, k);
    for (long i = 0; i < n; i++) for (long c = 0; c < k; c++) p[i * k + c] = scale[i] * r[i * k + c];
    double rho = dot(r, p, m), square = dot(r, r, m);
    const double limit = target * square;
    for (long step = 0; step < iterations && square > limit; step++) {
      memset(Ap, 0, sizeof(real) * (n + ROWS) * k);
      for (long i = 0; i < n; i += ROWS) sums(panels + i * n, p, 0, n, k, Ap + i * k);
      for (long i = 0; i < n; i++) for (long c = 0; c < k; c++) Ap[i * k + c] += weight[i] * p[i * k + c];
      tangent(Ap, x, n, k);
      const double curvature = dot(p, Ap, m);
      /* Where the forward pass stopped short of a minimum, a sample keeps what it has. */
      if (!(curvature > 0)) break;
      const real alpha = (real)(rho / curvature);
      for (long i = 0; i < m; i++) { u[i] += alpha * p[i]; r[i] -= alpha * Ap[i]; }
      double fresh = 0;
      for (long i = 0; i < n; i++) fresh += scale[i] * dot(r + i * k, r + i * k, k);
      square = dot(r, r, m);
      const real beta = rho > 0 ? (real)(fresh / rho) : 0;
      for (long i = 0; i < n; i++) for (long c = 0; c < k; c++)
        p[i * k + c] = scale[i] * r[i * k + c] + beta * p[i * k + c];
      rho = fresh;
    }
    memset(U + b * N * k, 0, sizeof(real) * N * k);
    for (long i = 0; i < n; i++) memcpy(U + (b * N + rows[i]) * k, u + i * k, sizeof(real) * k);
  }
}
"""
)

OWN = (
    _COMMON
    + r"""
#define CHUNK(T, W, STEP) { T acc[W]; for (int c = 0; c < W; c++) acc[c] = 0; STEP \
    for (int c = 0; c < W; c++) out[c0 + c] = acc[c]; c0 += W; }
#define CHUNKS(T, W_STEP) { long c0 = 0; \
    while (k - c0 >= 32) CHUNK(T, 32, W_STEP(32)) while (k - c0 >= 16) CHUNK(T, 16, W_STEP(16)) \
    while (k - c0 >= 8) CHUNK(T, 8, W_STEP(8)) }
#define SPARSE(W) for (long e = 0; e < count; e++) { const real w = -value[e]; const real *x = z + index[e] * k + c0; \
    for (int c = 0; c < W; c++) acc[c] += w * x[c]; }

void sparse(const long *start, const long *indices, const real *values, const real *own, real *V, real *Z,
            const unsigned char *active, double *fell, real *out, long B, long M, long N, long k, real keep) {
  for (long b = 0; b < B; b++) {
    if (!active[b]) continue;
    real *v = V + b * N * k, *z = Z;
    memset(z, 0, sizeof(real) * M * k);
    fell[b] = 0;
    for (int pass = 0; pass < 2; pass++) for (long i = pass; i < N; i++) {
      const long from = start[b * N + i], count = start[b * N + i + 1] - from;
      const long *index = indices + from; const real *value = values + from; real *change = v + i * k;
      if (pass) {
        CHUNKS(real, SPARSE)
        replace(v + i * k, out, k, own[b * N + i], keep, fell + b);
        change = out;
      }
      for (long e = 0; e < count; e++) {
        real *x = z + index[e] * k; const real w = value[e];
        for (long c = 0; c < k; c++) x[c] += w * change[c];
      }
    }
  }
}
"""
)
