"""jax.scipy.special."""

import jax.scipy.special as jss
from table import rows

ROWS = [
    *rows("special", "x:3,5", "erf erfc expit log_ndtr ndtr i0 i0e i1 i1e".split(), tolerance=1e-4),
    *rows("special", "p:3,5", "gammaln digamma gamma entr exp1".split(), tolerance=2e-4),
    *rows("special", "u:3,5", "erfinv".split(), tolerance=1e-4),
    *rows("special", "p:3,5 p:3,5", "xlogy xlog1py betaln gammainc gammaincc zeta rel_entr kl_div".split(), grad=False, tolerance=3e-4),
    *rows("special", "p:3,5", [("logit", lambda x: jss.logit(x / (1 + x))), ("ndtri", lambda x: jss.ndtri(x / (1 + x))),
                               ("polygamma", lambda x: jss.polygamma(1, x))], grad=False, tolerance=3e-4),
]
