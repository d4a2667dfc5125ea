#pragma once

namespace weir::analytics {

/// The normal and chi-squared distributions, as far as control charts and capability intervals need them, and log Gamma.
///
/// Range: probabilities strictly between 0 and 1, degrees of freedom above 0; anything else is a bug of the caller.
/// Accuracy: relative error below 1e-13 (normal) and 1e-12 (chi-squared), checked against published quantiles.
/// Thread: pure functions. Cost: under a microsecond; the chi-squared quantile a few microseconds.

/// log Gamma(x) for x > 0. std::lgamma writes the global `signgam`, so two threads must not call it. Stirling's series after
/// lifting x above 16.
double log_gamma(double x) noexcept;

/// P(Z <= z) for a standard normal Z.
double normal_cdf(double z) noexcept;

/// z with normal_cdf(z) = `probability`. Source: Wichura, algorithm AS 241, Applied Statistics 37 (1988), 477-484.
double normal_quantile(double probability) noexcept;

/// P(X <= x) for X chi-squared with `degrees_of_freedom`, which need not be whole. The regularised incomplete gamma
/// function by its series below the mean and by its continued fraction (Lentz) above.
double chi_squared_cdf(double x, double degrees_of_freedom) noexcept;

/// x with chi_squared_cdf(x, degrees_of_freedom) = `probability`: Wilson and Hilferty's start, then bracketed Newton steps.
double chi_squared_quantile(double probability, double degrees_of_freedom) noexcept;

}  // namespace weir::analytics
