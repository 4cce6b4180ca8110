// SPDX-License-Identifier: MIT
/*
 * A C program that uses functions written in JAX. The library is made in Python:
 *
 *	import kjax, jax.numpy as jnp, numpy as np
 *	def loss(w, x, y):
 *		return jnp.mean((x @ w - y) ** 2)
 *	example = (np.zeros(2, np.float32), np.zeros((3, 2), np.float32), np.zeros(3, np.float32))
 *	kjax.library({"loss": (loss, example)}, transformations=["jit", "grad"]).save("policy.kjl")
 *
 * Build and run:
 *
 *	cc policy.c $(python -m kjax.config --cflags --libs) -o policy && ./policy policy.kjl
 *
 * First the text interface; then gradient descent on plain C arrays, where a step takes about a microsecond.
 */
#include <stdio.h>
#include <stdlib.h>

#include <kjax/kjax.h>

static int failed(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, kjax_error());
	return 1;
}

int main(int argc, char **argv)
{
	_Alignas(64) float w[2] = { 0, 0 }, gradient[2];
	_Alignas(64) float x[3][2] = { { 1, 0 }, { 0, 1 }, { 1, 1 } }, y[3] = { 2, -1, 1 };
	const void *inputs[] = { w, x, y };
	void *outputs[] = { gradient };
	struct kjax_program *grad;
	char *text;
	int step;

	if (argc != 2) {
		fprintf(stderr, "usage: %s LIBRARY.kjl\n", argv[0]);
		return 2;
	}
	if (load_jax_library(argv[1]))
		return failed(argv[1]);

	text = execute_jax_transformation("jit(grad)", "loss", "[[0, 0], [[1, 0], [0, 1], [1, 1]], [2, -1, 1]]");
	if (!text)
		return failed("grad of loss");
	printf("gradient at 0: %s\n", text);
	free(text);

	if (kjax_program_find("grad", "loss", NULL, &grad))
		return failed("grad of loss");
	for (step = 0; step < 200; step++) {
		if (kjax_program_run(grad, inputs, outputs, NULL))
			return failed("step");
		w[0] -= 0.5f * gradient[0];
		w[1] -= 0.5f * gradient[1];
	}
	printf("w after %d steps: %.4f %.4f\n", step, (double)w[0], (double)w[1]);
	kjax_unload();
	return 0;
}
