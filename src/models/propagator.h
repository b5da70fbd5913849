/* ---- >>propagators: exact integration of linear membranes, in double ---- */
#ifndef SPIKELIB_MODELS_PROPAGATOR_H
#define SPIKELIB_MODELS_PROPAGATOR_H

#include "neuron.h"

/* What one step adds to V (mV): for each pA of constant current, of an exponential current, and
   of an alpha current's two variables. Written with (e^x - 1) / x, so that equal time constants
   are no special case. Source: Rotter and Diesmann, Biol. Cybern. 81:381 (1999), section 3. */
SPKI_TARGET_SCALAR __attribute__((unused)) static double spki_propagator_dc(double dt, double c_m,
                                                                            double tau_m)
{
    SPKI_NO_CONTRACT
    return dt / c_m * spk_exprel(-dt / tau_m);
}

SPKI_TARGET_SCALAR __attribute__((unused)) static double
spki_propagator_exp(double dt, double c_m, double tau_m, double tau_syn)
{
    SPKI_NO_CONTRACT
    return dt / c_m * spk_exp(-dt / tau_m) * spk_exprel(dt * (1.0 / tau_m - 1.0 / tau_syn));
}

/* dV for I(t) = s t e^(-t/tau): the integral of e^(-(dt-t)/tau_m) t e^(-t/tau) / C over a step. */
SPKI_TARGET_SCALAR __attribute__((unused)) static double
spki_propagator_alpha(double dt, double c_m, double tau_m, double tau_syn)
{
    SPKI_NO_CONTRACT
    const double x = dt * (1.0 / tau_m - 1.0 / tau_syn);
    double g; /* integral of u e^(x u) over u in [0, 1] */
    if (x < 0.5 && x > -0.5) {
        double term = 1.0;
        g = 0.0;
        for (int k = 0; k < 20; k++) {
            g += term / (double)(k + 2);
            term = term * x / (double)(k + 1);
        }
    } else {
        g = (spk_exp(x) - spk_exprel(x)) / x;
    }
    return dt * dt / c_m * spk_exp(-dt / tau_m) * g;
}

/* Whole steps of a duration, at least the nearest. */
__attribute__((unused)) static double spki_whole_steps(double ms, double dt)
{
    const double steps = ms / dt + 0.5;
    return (double)(int64_t)steps;
}

#endif
