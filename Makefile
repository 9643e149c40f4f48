# Firewatch – the commands of a working day. `make` alone lists them.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
LEAN   := $(VENV)/.lean
READY  := $(VENV)/.ready
STUDY  := PYTHONPATH=.:tests $(BIN)/python tests/studies

.DEFAULT_GOAL := help
.PHONY: help run test lint types check checkpoint calibrate bench hardness deletion heads worth messages healthy seeds testbed transfer ablation readme constraints clean

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Rebuilt whenever the pinned versions or the project's own requirements change.
$(LEAN): constraints.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -c constraints.txt -e .
	@touch $@

# Training, the tests and their tools on top of that.
$(READY): $(LEAN)
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev]'
	@touch $@

run: $(LEAN)  ## play the three smoke tasks on the embedded environment: GNN ranker, rules, no key needed
	$(BIN)/firewatch run --test-run --env embedded --ranker gnn --policy rules

test: $(READY)  ## the whole test suite
	$(BIN)/pytest -n 2

lint: $(READY)  ## style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)  ## mypy, strict
	$(BIN)/mypy

check: $(LEAN)  ## the environment contract against the embedded environment
	$(BIN)/firewatch check --env embedded

# Five networks learn from the labels; the shipped one learns from new worlds what these five say together. Its
# seed is the one of five that ranks real development incidents and recorded traffic best; `make seeds` shows the
# others.
# The ranker (sage) and its graph-free control (none) learn from the same episodes and worlds, with the same
# settings. Real incidents, with INCIDENTS=folder, choose the epoch and, beside held-out worlds, the temperatures.
SEED := 10
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

# The card is written last: a folder without is of a training that was interrupted.
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
	$(MAKE) --jobs 2 $(call cards_of,$(foreach kind,sage none,$(call teachers_of,$(kind))))
	$(MAKE) --jobs 2 $(call cards_of,build/students/sage-$(SEED) build/students/none-$(SEED))
	rm -rf checkpoints/ranker checkpoints/mlp
	cp -R build/students/sage-$(SEED) checkpoints/ranker
	cp -R build/students/none-$(SEED) checkpoints/mlp

calibrate: $(READY)  ## how sure the shipped rankers are, fitted again; needs INCIDENTS=folder
	$(need_incidents)
	$(STUDY)/calibrate.py $(INCIDENTS)

bench: $(READY)  ## speed of each part, with machine and command; INCIDENTS=folder: of training on them, too
	@for bench in tests/bench_[!fmt]*.py "tests/bench_train.py $(INCIDENTS)"; do $(BIN)/python $$bench || exit 1; done

fuzz: $(READY)  ## a thousand damaged answers, files and checkpoints of each kind: read, or refused in one line
	mkdir -p build checkpoints/results
	$(BIN)/python tests/bench_fuzz.py > build/fuzz.json
	cp build/fuzz.json checkpoints/results/fuzz.json

hardness: $(READY)  ## how far nets and plain scorers get on the default hard worlds, freshly trained
	mkdir -p build checkpoints/results
	$(STUDY)/hardness.py > build/hardness.json
	cp build/hardness.json checkpoints/results/hardness.json

deletion: $(READY)  ## whether the ranker goes by the evidence that it names: taken away against random evidence
	mkdir -p build checkpoints/results
	$(STUDY)/deletion.py $(INCIDENTS) > build/deletion.json
	cp build/deletion.json checkpoints/results/deletion.json

heads: $(READY)  ## how far the kind of fault, and the chance of an incident, can be believed
	mkdir -p build checkpoints/results
	$(STUDY)/heads.py $(INCIDENTS) > build/heads.json
	cp build/heads.json checkpoints/results/heads.json

worth: $(READY)  ## what columns, edges and ingredients of the simulator are worth, three seeds an arm
	mkdir -p build checkpoints/results
	$(STUDY)/worth.py parts $(INCIDENTS) > build/worth.json
	cp build/worth.json checkpoints/results/worth.json

messages: $(READY)  ## what messages and graph columns are worth, each without the other, three seeds an arm
	mkdir -p build checkpoints/results
	$(STUDY)/worth.py messages $(INCIDENTS) > build/messages.json
	cp build/messages.json checkpoints/results/messages.json

healthy: $(READY)  ## what a system's healthy windows are worth to the ranker without any label; needs INCIDENTS=folder
	mkdir -p build checkpoints/results
	$(STUDY)/healthy.py $(INCIDENTS) > build/healthy.json
	cp build/healthy.json checkpoints/results/healthy.json

testbed: $(READY)  ## real faults in real processes under a real Prometheus, and what diagnose says of each
	mkdir -p build checkpoints/results
	PYTHONPATH=tests $(BIN)/python -m testbed --out build/testbed.json
	cp build/testbed.json checkpoints/results/testbed.json

transfer: $(READY)  ## what labelled incidents of other systems are worth on each set; needs INCIDENTS=folder
	$(need_incidents)
	mkdir -p build checkpoints/results
	$(STUDY)/transfer.py $(INCIDENTS) > build/transfer.json
	cp build/transfer.json checkpoints/results/transfer.json

seeds: $(READY)  ## teachers and seeds of the shipped recipe on real incidents; after 'make checkpoint', needs INCIDENTS=folder
	$(need_incidents)
	$(MAKE) --jobs 2 $(call cards_of,$(call students_of,sage))
	$(STUDY)/seeds.py $(INCIDENTS) $(call teachers_of,sage) $(call students_of,sage) > build/seeds.json
	cp build/seeds.json checkpoints/results/seeds.json

# Real incidents and recorded traffic are no part of this project: with a folder of them, INCIDENTS=folder and
# TRAFFIC=folder, their tables are remade too.
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
	$(STUDY)/adaptation.py $(INCIDENTS) > build/adaptation.json
	cp build/adaptation.json checkpoints/results/adaptation.json
	$(STUDY)/adaptation.py $(INCIDENTS) --cross-validate > build/trained.json
	cp build/trained.json checkpoints/results/trained.json
	$(STUDY)/adaptation.py $(INCIDENTS) --unseen > build/unseen.json
	cp build/unseen.json checkpoints/results/unseen.json
endif
ifdef TRAFFIC
	$(BIN)/firewatch ablate --ranking-only --episodes-from $(TRAFFIC) --out build/ablation-traffic \
		--ranker gnn,mlp,heuristic
	cp build/ablation-traffic/ablation.json checkpoints/results/traffic.json
endif
	$(BIN)/python -m agent.benchmark.showcase

readme: $(READY)  ## refresh tables, picture and output in README and rankers' card from results and shipped ranker
	$(BIN)/python -m agent.benchmark.showcase
	$(STUDY)/readme.py

constraints: $(READY)  ## write the versions now installed to constraints.txt
	@echo "# Exact versions that the tests run with; made by 'make constraints'." > constraints.txt
	$(BIN)/pip freeze --exclude-editable | sed -e '/^#/d' -e 's/+cpu$$//' >> constraints.txt

clean:  ## remove the virtual environment and caches, keep runs
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
