"""Public names that the table of nonsense leaves out, each group with its reason."""

PACKAGES = (
    # Fixed cases and claims, which take no numbers from users.
    "probinf.cases.",
    "probinf.validity.planted.",
    # Plans and plots of the experiments.
    "probinf.figures.",
    # The command reads text and has errors of its own: tests/cli/test_errors.py.
    "probinf.cli.",
    # Servers answer over HTTP, and what they may send is fed in by tests/servers/test_bad_servers.py.
    "probinf.servers.",
    # Untrusted programs, not numbers: tests/verifiers/programs.
    "probinf.verifiers.programs.",
    # The interfaces to other libraries hand arguments on: tests/interop.
    "probinf.interop.",
    # Arrays on several devices, which need processes of their own: tests/scale.
    "probinf.scale.",
)

_GROUPS = {
    "takes samplers, kernels, factors, functions or models only, which were checked where they were made": """
        probinf.Best probinf.Chain probinf.Choose probinf.Density probinf.Draw probinf.Explanation probinf.Majority
        probinf.Map probinf.Measure probinf.Named probinf.Proportional probinf.citation probinf.explain
        probinf.arithmetic.ArithmeticModels probinf.arithmetic.ArithmeticReward probinf.arithmetic.Checker
        probinf.distributions.InitialState probinf.distributions.Lagged probinf.distributions.ParametersAndPath
        probinf.kernels.Block probinf.kernels.Conditional probinf.kernels.Cycle probinf.kernels.FreshProposal
        probinf.kernels.Independent probinf.kernels.Involutive probinf.kernels.gibbs probinf.kernels.independence
        probinf.lm.Greedy probinf.lm.LoadedModel probinf.lm.Metered probinf.lm.ReadAlong probinf.lm.RewardFunction
        probinf.lm.StateReward probinf.lm.TextModel probinf.lm.Tokenizer
        probinf.representations.First probinf.representations.Segment probinf.representations.Suspended
        probinf.representations.Then probinf.representations.TraceMetropolis probinf.representations.TraceValue
        probinf.representations.TraceWeight probinf.representations.advance probinf.representations.checkpoints
        probinf.representations.finish probinf.representations.hoist probinf.representations.hoist_first
        probinf.representations.marginal probinf.representations.sequentially probinf.representations.suspend
        probinf.samplers.AcceptedMajority probinf.samplers.Answer probinf.samplers.AuxiliaryStage
        probinf.samplers.BackwardSimulation probinf.samplers.EndOfThinking probinf.samplers.FilterStage
        probinf.samplers.Finished probinf.samplers.GuidedStage probinf.samplers.Last probinf.samplers.MeanLogProb
        probinf.samplers.Min probinf.samplers.ModelPair probinf.samplers.Observe probinf.samplers.OwnTarget
        probinf.samplers.PerplexityConsistency probinf.samplers.RewardTotal probinf.samplers.Route
        probinf.samplers.RowsSoFar probinf.samplers.Scaffold probinf.samplers.SolutionLaw probinf.samplers.Untempered
        probinf.samplers.UntilStop probinf.samplers.ValueRatio probinf.samplers.Writer
        probinf.transformers_dist.Pushed probinf.transformers_dist.Recipe probinf.transformers_dist.corrected
        probinf.transformers_dist.frame_of probinf.transformers_dist.sequential.stream_of
        probinf.transformers_dist.sequential.order_means_nothing
        probinf.verifiers.Accepted probinf.verifiers.Task probinf.verifiers.TextPotential
        probinf.verifiers.deduction.Derivable probinf.verifiers.deduction.honest_deduction
        probinf.verifiers.pairs.Ensemble probinf.verifiers.pairs.MostProbable probinf.verifiers.pairs.PairReward
    """,
    "holds what a run or a network wrote, and is made by the library": """
        probinf.lm.Generation probinf.lm.Ledger probinf.lm.Llama probinf.lm.SmallLayer probinf.lm.SmallTransformer
        probinf.lm.Solutions probinf.lm.decode_block probinf.lm.history_of probinf.lm.resample_block
        probinf.lm.spending probinf.lm.writing
        probinf.samplers.StopTemperedState probinf.samplers.first_solution probinf.samplers.ladder_of
        probinf.samplers.settings_of probinf.transformers_dist.DistributionTransformer probinf.transformers_dist.Frame
        probinf.transformers_dist.baselines.Amortized probinf.transformers_dist.sequential.Prototypes
        probinf.validity.EnumeratedLaw
        probinf.verifiers.pairs.PairModel probinf.verifiers.pairs.SequencePairs
        probinf.verifiers.pairs.baselines.DropoutMixture probinf.verifiers.pairs.baselines.EpinetMixture
        probinf.verifiers.pairs.baselines.GaussianLastLayer
    """,
    "not handed over yet: is a network, or trains or runs one": """
        probinf.arithmetic.prm_quality probinf.arithmetic.roll_out
        probinf.transformers_dist.published_config probinf.transformers_dist.train
        probinf.transformers_dist.transformer_loss probinf.transformers_dist.untrained
        probinf.transformers_dist.baselines.Flow
        probinf.transformers_dist.baselines.nuts
        probinf.transformers_dist.baselines.train_amortized probinf.transformers_dist.baselines.train_baseline
        probinf.transformers_dist.baselines.variational
        probinf.verifiers.pairs.ChainHead probinf.verifiers.pairs.DirichletHead probinf.verifiers.pairs.Head
        probinf.verifiers.pairs.JointHead probinf.verifiers.pairs.MarkovMixtureHead probinf.verifiers.pairs.MixtureHead
        probinf.verifiers.pairs.PairLanguageModel probinf.verifiers.pairs.PairNetwork
         probinf.verifiers.pairs.Perceptron probinf.verifiers.pairs.ordered_loss
        probinf.verifiers.pairs.train_pairs
        probinf.verifiers.pairs.baselines.DropoutNetwork probinf.verifiers.pairs.baselines.EpinetNetwork
        probinf.verifiers.pairs.baselines.EvidentialHead probinf.verifiers.pairs.baselines.RandomFourierFeatures
        probinf.verifiers.pairs.baselines.SpectralPerceptron probinf.verifiers.pairs.baselines.laplace
        probinf.verifiers.pairs.baselines.sngp probinf.verifiers.pairs.baselines.train_dropout
        probinf.verifiers.pairs.baselines.train_epinet probinf.verifiers.pairs.baselines.train_evidential
    """,
    "not handed over yet: takes problems that the library draws, tokens, files or names": """
        probinf.arithmetic.answer_of probinf.arithmetic.draw_problem probinf.arithmetic.draw_trace
        probinf.arithmetic.fingerprint probinf.arithmetic.for_problem probinf.arithmetic.grade
        probinf.arithmetic.is_correct probinf.arithmetic.is_sound probinf.arithmetic.load_arithmetic
        probinf.arithmetic.load_language_model probinf.arithmetic.prompt_of
        probinf.arithmetic.read_metadata probinf.arithmetic.render_problem probinf.arithmetic.render_solution
        probinf.arithmetic.right_answer probinf.arithmetic.running_values
        probinf.arithmetic.write_all
        probinf.lm.cache_folder probinf.lm.get_model probinf.lm.load_model probinf.lm.load_tree probinf.lm.model_path
        probinf.lm.save_tree probinf.transformers_dist.load probinf.transformers_dist.baselines.load_baseline
        probinf.transformers_dist.baselines.save_baseline probinf.verifiers.constraint_tasks
        probinf.verifiers.count_distinct probinf.verifiers.parse_verifier probinf.verifiers.procedures.states_of
    """,
    "not handed over yet: is a family of problems, or works on its data; its view judges what a network is given": """
        probinf.transformers_dist.families.GaussianProcess probinf.transformers_dist.families.GaussianProcessLikelihood
        probinf.transformers_dist.families.GaussianProcessPrior probinf.transformers_dist.families.GaussianProcessView
        probinf.transformers_dist.families.InverseGamma probinf.transformers_dist.families.InverseGammaView
        probinf.transformers_dist.families.LinearGaussian probinf.transformers_dist.families.LinearLikelihood
        probinf.transformers_dist.families.LinearView probinf.transformers_dist.families.Quantum
        probinf.transformers_dist.families.QuantumLikelihood probinf.transformers_dist.families.QuantumView
        probinf.transformers_dist.families.SensorFusion probinf.transformers_dist.families.SensorLikelihood
        probinf.transformers_dist.families.SensorView probinf.transformers_dist.families.Squared
        probinf.transformers_dist.families.SquaredLikelihood probinf.transformers_dist.families.SquaredView
        probinf.transformers_dist.families.StochasticVolatility probinf.transformers_dist.families.VarianceLikelihood
        probinf.transformers_dist.families.VolatilityLikelihood probinf.transformers_dist.families.VolatilityView
        probinf.transformers_dist.families.exact_gaussian_process
        probinf.transformers_dist.families.exact_inverse_gamma probinf.transformers_dist.families.exact_linear
        probinf.transformers_dist.families.exact_quantum probinf.transformers_dist.families.exact_squared
        probinf.transformers_dist.families.fitted_factors
        probinf.transformers_dist.families.inverse_gamma probinf.transformers_dist.families.linear_evidence
         probinf.transformers_dist.families.linearized
        probinf.transformers_dist.families.motion
         probinf.transformers_dist.families.spreads
         probinf.transformers_dist.families.volatility_motion
    """,
    "not handed over yet: checks samplers or kernels; some refusals are in tests/validity/test_refusals.py": """

         probinf.validity.bet_on probinf.validity.check_cells
        probinf.validity.check_contract probinf.validity.check_green probinf.validity.check_means
        probinf.validity.check_reversible probinf.validity.check_trace probinf.validity.denote
         probinf.validity.enumerate_law
        probinf.validity.exact_rank_test
        probinf.validity.expected_measure probinf.validity.geweke_test
        probinf.validity.kernel_matrix probinf.validity.largest_difference probinf.validity.largest_estimates
        probinf.validity.log_wealth_of_kernel probinf.validity.log_wealth_of_sampler
        probinf.validity.samples_until_alarm probinf.validity.simulation_based_calibration
    """,
}
EXCUSED = {name: reason for reason, names in _GROUPS.items() for name in names.split()}
