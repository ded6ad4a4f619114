"""Convex networks: convex programs, closed forms and relaxations whose optimum is that of a trained network."""

from litrepro._lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "_halfplane": ["HalfPlane", "best_halfplane"],
        "_convex_nn": [
            "ConvexNN",
            "OutputFit",
            "convex_nn",
            "convex_nn_bound",
            "convex_nn_predict",
            "fit_output_weights",
        ],
        "_frank_wolfe": [
            "FrankWolfe",
            "Vertex",
            "frank_wolfe",
            "project_gamma1",
            "relu_lmo_search",
            "relu_lmo_whitened",
        ],
        "_sparsify": ["sparsify_weights"],
        "_relaxation": ["descend_relu", "modified_gradient", "modified_loss", "relaxed_loss", "relu_loss"],
        "_duality": [
            "DeepLinearOptimum",
            "WhitenedOptimum",
            "deep_linear_optimum",
            "dual_ball_projection",
            "whitened_relu_optimum",
        ],
        "_patterns": ["activation_patterns", "subnetwork_patterns"],
        "_programs": ["ReluNetwork", "ReluProgram", "convex_relu_program", "to_network"],
        "_programs3": ["ReluProgram3", "convex_relu_program3"],
        "_gated": ["GatedProgram", "gated_relu_program"],
        "_certificate": ["Certificate", "optimality_gap", "relu_support"],
        "_descent": ["descend"],
        "_ensembles": ["deep_relu_networks", "linear_networks", "relu_networks", "subnetworks"],
    },
)
