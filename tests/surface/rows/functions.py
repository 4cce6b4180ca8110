"""The rest of jax.nn, jnp.linalg, jnp.fft and jax.scipy.special; jax.ops, jax.image, jax.scipy.signal, ndimage, fft, integrate, stats."""

import jax
import jax.numpy as jnp
import jax.scipy.linalg as jsl
import jax.scipy.special as jss
from jax import nn
from jax.scipy import ndimage, signal, stats

from table import rows

ROWS = [
    *rows("nn", "x:4,6", "glu hard_swish identity logmeanexp logsumexp sparse_plus sparse_sigmoid tanh".split(), grad=False),
    *rows("nn", "p:4,6", ["log1mexp"], grad=False),
    *rows("linalg", "x:4,6", {
        "tensorsolve": lambda x: jnp.linalg.tensorsolve(x[:, :4] + 5 * jnp.eye(4), x[:, 0]), "diagonal": jnp.linalg.diagonal, "matrix_norm": jnp.linalg.matrix_norm, "matrix_transpose": jnp.linalg.matrix_transpose,
        "norm": lambda x: jnp.linalg.norm(x, 1), "trace": jnp.linalg.trace,
        "vector_norm": jnp.linalg.vector_norm, "outer": lambda x: jnp.linalg.outer(x[0], x[1]), "vecdot": lambda x: jnp.linalg.vecdot(x, x),
        "tensordot": lambda x: jnp.linalg.tensordot(x, x.T, axes=1), "matmul": lambda x: jnp.linalg.matmul(x, x.T), "cross": lambda x: jnp.linalg.cross(x[:, :3], x[:, 3:])},
        grad=False, tolerance=1e-4),
    *rows("fft", "x:3,8", {"fftn": jnp.fft.fftn, "ifftn": jnp.fft.ifftn, "ifft2": jnp.fft.ifft2, "ifftshift": jnp.fft.ifftshift, "ihfft": jnp.fft.ihfft,
                           "rfftn": jnp.fft.rfftn, "fftfreq": lambda x: jnp.fft.fftfreq(8) * x, "rfftfreq": lambda x: jnp.fft.rfftfreq(14) * x}, grad=False,
          tolerance=1e-4),
    *rows("fft", "x:12", {"grad_of_fft": lambda x: jnp.abs(jnp.fft.fft(x)), "grad_of_rfft": lambda x: jnp.abs(jnp.fft.rfft(x)) ** 2}, tolerance=1e-4),
    *rows("fft", "c:3,5", {"irfft": jnp.fft.irfft, "irfft2": jnp.fft.irfft2, "irfftn": jnp.fft.irfftn}, grad=False, tolerance=1e-4),
    *rows("sfft", "x:3,8", "dct dctn idct idctn".split(), grad=False, tolerance=1e-4),
    *rows("special", "p:3,5 p:3,5", "beta".split(), grad=False, tolerance=1e-3),
    *rows("special", "p:3,5", {
        "loggamma": jss.loggamma, "gammasgn": jss.gammasgn, "spence": jss.spence, "boxcox": lambda x: jss.boxcox(x, 0.3), "boxcox1p": lambda x: jss.boxcox1p(x, 0.3),
        "expi": jss.expi, "expn": lambda x: jss.expn(2, x), "factorial": lambda x: jss.factorial(jnp.round(x)), "multigammaln": lambda x: jss.multigammaln(x + 2, 3),
        "comb": lambda x: jss.comb(5.0 + x, 2.0), "poch": lambda x: jss.poch(x, 2.0), "dawsn": jss.dawsn, "erfcx": jss.erfcx, "fresnel": jss.fresnel, "sici": jss.sici,
        "owens_t": lambda x: jss.owens_t(x, 0.5), "betainc": lambda x: jss.betainc(1.5, x, 0.3)}, grad=False, tolerance=2e-3),
    *rows("special", "u:3,5", {"hyp1f1": lambda x: jss.hyp1f1(1.5, 2.5, x), "hyp2f1": lambda x: jss.hyp2f1(1.0, 1.5, 2.5, x * 0.9)}, grad=False, tolerance=2e-3, f64=False),
    *rows("special", "x:3,5", {"log_softmax": jss.log_softmax, "softmax": jss.softmax, "logsumexp": jss.logsumexp}, grad=False),
    *rows("special", "p:3", {"bessel_jn": lambda x: jss.bessel_jn(x, v=3, n_iter=20)}, grad=False, tolerance=2e-3, f64=False),
    *rows("special", "c:3", {"wofz": jss.wofz}, grad=False, tolerance=2e-3, f64=False),
    *rows("ops", "x:9", [(n, lambda x, f=getattr(jax.ops, n): f(x, jnp.array([0, 1, 1, 3, 0, 2, 2, 2, 9]), num_segments=5)) for n in
                         "segment_max segment_min segment_prod segment_sum".split()], grad=False),
    *rows("image", "x:6,8", {"resize": lambda x: jax.image.resize(x, (9, 5), "linear"), "resize_cubic": lambda x: jax.image.resize(x, (9, 5), "bicubic"),
                             "resize_nearest": lambda x: jax.image.resize(x, (4, 16), "nearest"), "resize_lanczos": lambda x: jax.image.resize(x, (3, 4), "lanczos3"),
                             "scale_and_translate": lambda x: jax.image.scale_and_translate(x, (5, 5), (0, 1), jnp.array([0.5, 0.7]), jnp.array([0.1, 0.2]), "linear")},
          grad=False, tolerance=1e-4),
    *rows("signal", "x:24 x:7", {"convolve": signal.convolve, "correlate": signal.correlate, "fftconvolve": signal.fftconvolve}, grad=False, tolerance=1e-4),
    *rows("signal", "x:6,7 x:3,3", {"convolve2d": signal.convolve2d, "correlate2d": signal.correlate2d}, grad=False, tolerance=1e-4),
    *rows("signal", "x:64", {"detrend": lambda x: signal.detrend(x, type="constant"), "stft": lambda x: signal.stft(x, nperseg=16)[2],
                             "istft": lambda x: signal.istft(signal.stft(x, nperseg=16)[2], nperseg=16)[1], "welch": lambda x: signal.welch(x, nperseg=16)[1],
                             "csd": lambda x: signal.csd(x, x[::-1], nperseg=16)[1]}, grad=False, tolerance=5e-4, vmap=False),
    *rows("ndimage", "x:6,7", {"map_coordinates": lambda x: ndimage.map_coordinates(x, [jnp.linspace(0, 5, 9), jnp.linspace(0, 6, 9)], 1)}, grad=False, tolerance=1e-4),
    *rows("integrate", "x:9", {"trapezoid": jax.scipy.integrate.trapezoid}),
    *rows("stats", "p:3,5", {
        "bernoulli": lambda x: stats.bernoulli.logpmf(jnp.ones_like(x), x / 5), "beta": lambda x: stats.beta.logpdf(x / 5, 2.0, 3.0), "binom": lambda x: stats.binom.logpmf(2.0, 5.0, x / 5),
        "cauchy": lambda x: stats.cauchy.cdf(x), "chi2": lambda x: stats.chi2.logpdf(x, 3.0), "expon": lambda x: stats.expon.logpdf(x), "gamma": lambda x: stats.gamma.cdf(x, 2.0),
        "geom": lambda x: stats.geom.logpmf(jnp.ceil(x), 0.3), "gumbel_l": lambda x: stats.gumbel_l.cdf(x), "gumbel_r": lambda x: stats.gumbel_r.cdf(x), "laplace": lambda x: stats.laplace.cdf(x),
        "logistic": lambda x: stats.logistic.ppf(x / 5), "nbinom": lambda x: stats.nbinom.logpmf(jnp.ceil(x), 3.0, 0.4), "norm": lambda x: stats.norm.ppf(x / 5),
        "pareto": lambda x: stats.pareto.logpdf(1 + x, 2.0), "poisson": lambda x: stats.poisson.logpmf(jnp.ceil(x), 2.0), "t": lambda x: stats.t.logpdf(x, 3.0),
        "truncnorm": lambda x: stats.truncnorm.logpdf(x / 5, -1.0, 1.0), "uniform": lambda x: stats.uniform.cdf(x, 0.0, 4.0), "vonmises": lambda x: stats.vonmises.logpdf(x, 2.0),
        "wrapcauchy": lambda x: stats.wrapcauchy.logpdf(x, 0.5), "betabinom": lambda x: stats.betabinom.logpmf(2.0, 5.0, x, 1.5), "gennorm": lambda x: stats.gennorm.logpdf(x, 1.5),
        "rankdata": stats.rankdata, "sem": stats.sem, "mode": lambda x: stats.mode(jnp.round(x))[0], "dirichlet": lambda x: stats.dirichlet.logpdf(x[0] / x[0].sum(), x[1]),
        "multinomial": lambda x: stats.multinomial.logpmf(jnp.array([1, 2, 0, 1, 1]), 5, x[0] / x[0].sum()),
        "multivariate_normal": lambda x: stats.multivariate_normal.logpdf(x[0], x[1], jnp.eye(5, dtype=x.dtype) * 2),
        "gaussian_kde": lambda x: stats.gaussian_kde(x[0]).evaluate(x[1])}, grad=False, tolerance=2e-3),
    *rows("jsl", "x:5", {
        "circulant": jsl.circulant, "companion": lambda x: jsl.companion(x + 5), "convolution_matrix": lambda x: jsl.convolution_matrix(x, 3),
        "fiedler": jsl.fiedler, "fiedler_companion": lambda x: jsl.fiedler_companion(x + 5), "hankel": jsl.hankel,
        "leslie": lambda x: jsl.leslie(x, x[1:]), "dft": lambda x: jsl.dft(5) @ x, "hadamard": lambda x: jsl.hadamard(4) @ x[:4],
        "helmert": lambda x: jsl.helmert(5) @ x, "hilbert": lambda x: jsl.hilbert(5) @ x, "pascal": lambda x: jsl.pascal(5) @ x,
        "invhilbert": lambda x: jsl.invhilbert(5) @ x, "invpascal": lambda x: jsl.invpascal(5) @ x}, grad=False, tolerance=1e-4),
    *rows("jsl", "s:4", {
        "cholesky": jsl.cholesky, "det": jsl.det, "inv": jsl.inv, "eigh": lambda a: jsl.eigh(a, eigvals_only=True), "cho_factor": lambda a: jnp.triu(jsl.cho_factor(a)[0]),
        "solve": lambda a: jsl.solve(a, a[:, 0] + 1), "svd": lambda a: jsl.svd(a, compute_uv=False), "qr": lambda a: jnp.abs(jsl.qr(a)[1]),
        "lu_factor": jsl.lu_factor, "lu_solve": lambda a: jsl.lu_solve(jsl.lu_factor(a), a[:, 0] + 1),
        "qr_multiply": lambda a: jnp.abs(jsl.qr_multiply(a, a)[0])}, grad=False, tolerance=5e-4),
]
