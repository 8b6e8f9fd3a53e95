"""Times one training update of the plain and of the distilled scheme in PyTorch, on the CPU, in single precision.

    python=$(bash tests/python.sh bench)
    $python trainer/bench/pytorch_learner.py --scheme ddn --mixer qmix --threads 2 --json

`ddn-train bench CONFIG --against pytorch --python $python` runs it in turns with an update of its own on the same shapes.
Equal on both sides:

    shapes and widths   of the batch, the networks, the mixer and both hypernetworks (M = 64)
    networks            unrolled over all T+1 frames of whole episodes, once each: online, slow, and with ddn the follower
    losses              double-Q TD error; with ddn L_B, L_F and L_Q by divergence, and the IDM's prediction error
    steps               global-norm clipping at 10; RMSprop for agents or leader with the mixer, Adam for the others
    data                zeros and ones, as many ones as in episodes of random play: about 5.5 in an agent's input (last
                        action and number among them) and 15 in a state; as many available actions and idle agents

Not equal: ddn-train's time includes drawing episodes from a packed replay and padding them; here only the update is timed,
and it starts from a batch in memory. There, the slow networks are not unrolled over episodes that they have seen since the
last copy, of which as many are left as in training (`--set learner.keep_slow=false`: over all of them); sums skip zeros and rows that no loss counts, and the IDM runs on the frame
after the last step as well.
It means to be the learner a careful PyTorch user would write: the recurrent layers run over whole sequences in one call,
everything is laid out time first, targets are computed without a graph, the optimisers use their multi-tensor forms, and
the generated weights are never built. Their product with the input has three equivalent formulations each; the default is
the fastest measured:

    --ggn-block dense    a table of M+1 rows per state, by a dense product; agents share it
                bag      the same table, as a sum of the weight rows of the state's ones
                bucket   agents' pairs (input, one of the state's ones), grouped by entry, a small product per group
    --lpn-block table    a table of M+1 rows per agent, by a dense product
                outer    the outer product of input and hypernetwork output, then one dense product
                bucket   as above, on the agent's own input

bag and bucket take every non-zero entry for a one.
"""

import argparse
import copy
import json
import statistics
import time

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F


class Core(nn.Module):
    """fc1, ReLU, GRU, fc2, over rows of whole episodes: x [T, rows, inputs]."""

    cell_by_cell = False

    def __init__(self, inputs, hidden, actions):
        super().__init__()
        self.fc1 = nn.Linear(inputs, hidden)
        self.gru = nn.GRUCell(hidden, hidden) if self.cell_by_cell else nn.GRU(hidden, hidden)
        self.fc2 = nn.Linear(hidden, actions)

    def forward(self, x):
        if self.cell_by_cell:
            return self.step_by_step(x)
        features = F.relu(self.fc1(x))
        return features, self.fc2(self.gru(features)[0])

    def step_by_step(self, x):
        """As PyMARL's learner has it: the whole agent network once per time step."""
        hidden = x.new_zeros(x.shape[1], self.gru.hidden_size)
        features, outputs = [], []
        for step in x.unbind(0):
            features.append(F.relu(self.fc1(step)))
            hidden = self.gru(features[-1], hidden)
            outputs.append(self.fc2(hidden))
        return torch.stack(features), torch.stack(outputs)


def bucket_product(h, pairs, weight):
    """Sum over each row's ones k of h_row W[k]. h [rows, M+1]; weight [K, M+1, D]."""
    rows, counts = pairs
    parts = h.index_select(0, rows).split(counts)
    products = torch.cat([part @ w for part, w in zip(parts, weight.unbind(0))])
    return torch.zeros(h.shape[0], weight.shape[2]).index_add(0, rows, products)


def pairs_by_entry(x):
    """The rows of each entry's ones, entry after entry, and how many there are."""
    entries, rows = x.t().contiguous().nonzero(as_tuple=True)
    return rows, torch.bincount(entries, minlength=x.shape[1]).tolist()


class Personalised(nn.Module):
    """An agent behind a block whose weights are generated from its own input."""

    def __init__(self, source, inputs, width, hyper, scale, hidden, actions, form):
        super().__init__()
        self.hyper = nn.Linear(inputs, hyper)
        self.shift = nn.Linear(inputs, width)
        bound = hyper**-0.5
        self.weight = nn.Parameter(torch.empty(source, hyper + 1, width).uniform_(-bound, bound))
        self.scale, self.form = scale, form
        self.core = Core(width, hidden, actions)

    def forward(self, x, source):
        """x [T, B, N, I]; source: what `sources` made of the state or of x."""
        steps, batch, agents, _ = x.shape
        entries, rank, width = self.weight.shape
        h = F.pad(F.relu(self.hyper(x)), (0, 1), value=1.0)
        if self.form == "bucket":
            mixed = bucket_product(h.flatten(0, 2), source, self.weight)
        elif self.form == "outer":
            outer = source.flatten(0, 2).unsqueeze(2) * h.flatten(0, 2).unsqueeze(1)
            mixed = outer.flatten(1) @ self.weight.view(entries * rank, width)
        elif self.form == "table":
            table = source.flatten(0, 2) @ self.weight.view(entries, rank * width)
            mixed = torch.bmm(h.view(-1, 1, rank), table.view(-1, rank, width))
        else:
            flat = self.weight.view(entries, rank * width)
            table = source @ flat if self.form == "dense" else F.embedding_bag(*_bag(source, flat), mode="sum")
            mixed = torch.bmm(h.view(-1, agents, rank), table.view(-1, rank, width))
        block = torch.add(self.shift(x), mixed.view(steps, batch, agents, width), alpha=self.scale)
        features, q = self.core(block.view(steps, batch * agents, width))
        return block, features.view(steps, batch, agents, -1), q.view(steps, batch, agents, -1)


def _bag(source, flat):
    indices, offsets = source
    return indices, flat, offsets


def ggn_source(state, form, agents):
    """state [T, B, S] in the form that the block wants."""
    rows = state.flatten(0, 1)
    if form == "dense":
        return rows
    if form == "bag":
        row, entry = rows.nonzero(as_tuple=True)
        counts = torch.bincount(row, minlength=rows.shape[0])
        return entry, torch.cumsum(counts, 0) - counts
    pairs, counts = pairs_by_entry(rows)
    pairs = (pairs.unsqueeze(1) * agents + torch.arange(agents)).flatten()
    return pairs, [count * agents for count in counts]


def lpn_source(x, form):
    return pairs_by_entry(x.flatten(0, 2)) if form == "bucket" else x


class Plain(nn.Module):
    def __init__(self, inputs, hidden, actions):
        super().__init__()
        self.core = Core(inputs, hidden, actions)

    def forward(self, x, _):
        steps, batch, agents, inputs = x.shape
        features, q = self.core(x.view(steps, batch * agents, inputs))
        return None, features, q.view(steps, batch, agents, -1)


class Vdn(nn.Module):
    def forward(self, q, _):
        return q.sum(-1)


class Qmix(nn.Module):
    def __init__(self, state, agents, embed, hyper):
        super().__init__()
        self.w1 = nn.Sequential(nn.Linear(state, hyper), nn.ReLU(), nn.Linear(hyper, agents * embed))
        self.b1 = nn.Linear(state, embed)
        self.wf = nn.Sequential(nn.Linear(state, hyper), nn.ReLU(), nn.Linear(hyper, embed))
        self.v = nn.Sequential(nn.Linear(state, embed), nn.ReLU(), nn.Linear(embed, 1))

    def forward(self, q, state):
        rows, agents = q.flatten(0, 1), q.shape[-1]
        s = state.flatten(0, 1)
        w1 = self.w1(s).abs().view(rows.shape[0], agents, -1)
        hidden = F.elu(torch.baddbmm(self.b1(s).unsqueeze(1), rows.unsqueeze(1), w1)).squeeze(1)
        return ((hidden * self.wf(s).abs()).sum(-1) + self.v(s).squeeze(-1)).view(q.shape[:2])


def two_layers(inputs, hidden, outputs):
    return nn.Sequential(nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, outputs))


class Learner:
    def __init__(self, o):
        self.o = o
        inputs = o.obs + o.actions + o.agents
        self.ddn = o.scheme == "ddn"
        if self.ddn:
            common = (o.hidden, o.actions)
            self.agent = Personalised(o.state, inputs, o.width, o.hyper, o.scale, *common, o.ggn_block)
            self.lpn = Personalised(inputs, inputs, o.width, o.lpn_hyper, o.scale, *common, o.lpn_block)
            self.predictor = two_layers(o.state, 64, 64)
            self.goal = two_layers(o.state, 64, 64).requires_grad_(False)
            self.lpn_optimiser = torch.optim.Adam(self.lpn.parameters(), lr=5e-4, foreach=True)
            self.idm_optimiser = torch.optim.Adam(self.predictor.parameters(), lr=5e-4, foreach=True)
        else:
            self.agent = Plain(inputs, o.hidden, o.actions)
        self.mixer = Vdn() if o.mixer == "vdn" else Qmix(o.state, o.agents, o.embed, o.mixer_hyper)
        self.slow_agent = copy.deepcopy(self.agent).requires_grad_(False)
        self.slow_mixer = copy.deepcopy(self.mixer).requires_grad_(False)
        self.parameters = [*self.agent.parameters(), *self.mixer.parameters()]
        self.optimiser = torch.optim.RMSprop(self.parameters, lr=5e-4, alpha=0.99, eps=1e-5, foreach=True)

    def step(self, optimiser, parameters, loss):
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 10.0, foreach=True)
        optimiser.step()

    def update(self, batch):
        state, available, mask = batch["state"], batch["available"], batch["mask"]
        actions = batch["actions"].unsqueeze(-1)
        norm = mask.sum()
        x = self.inputs(batch)
        source = ggn_source(state, self.o.ggn_block, self.o.agents) if self.ddn else None
        reward = batch["reward"]
        if self.ddn:
            with torch.no_grad():
                goal = self.goal(state[:-1])
            errors = (self.predictor(state[:-1]) - goal).pow(2).mean(-1)
            reward = reward + (torch.rand_like(reward) < self.o.mu) * errors.detach()
        teacher = self.agent(x, source)
        q = teacher[2]
        closed = ~available
        with torch.no_grad():
            best = q.masked_fill(closed, -9999999.0)[1:].argmax(-1, keepdim=True)
            slow = self.slow_agent(x, source)[2][1:].gather(-1, best).squeeze(-1)
            later = self.slow_mixer(slow, state[1:])
            targets = reward + 0.99 * (1 - batch["terminated"]) * later
        q_tot = self.mixer(q[:-1].gather(-1, actions).squeeze(-1), state[:-1])
        loss = ((q_tot - targets).pow(2) * mask).sum() / norm
        self.step(self.optimiser, self.parameters, loss)
        if not self.ddn:
            return loss.item()

        student = self.lpn(x, lpn_source(x, self.o.lpn_block))
        t_block, t_features, t_q = (v[:-1].detach() for v in teacher)
        s_block, s_features, s_q = (v[:-1] for v in student)
        shut = closed[:-1]
        free = (available[:-1].sum(-1) > 1).float()
        loss_b = ((t_block - s_block).pow(2).sum(-1) * free).mean(-1)
        loss_q = self.kl(t_q.masked_fill(shut, -1e9), s_q.masked_fill(shut, -1e9)).sum(-1)
        loss_f = (self.kl(t_features, s_features) * free).sum(-1)
        distilled = ((loss_b + loss_q + loss_f) * mask).sum() / norm
        self.step(self.lpn_optimiser, list(self.lpn.parameters()), distilled)
        self.step(self.idm_optimiser, list(self.predictor.parameters()), (errors * mask).sum() / norm)
        return loss.item() + distilled.item()

    @staticmethod
    def kl(teacher, student):
        return F.kl_div(student.log_softmax(-1), teacher.log_softmax(-1), reduction="none", log_target=True).sum(-1)

    def inputs(self, batch):
        steps, size, agents, _ = batch["obs"].shape
        last = torch.zeros(steps, size, agents, self.o.actions)
        last[1:].scatter_(-1, batch["actions"].unsqueeze(-1), 1.0)
        number = torch.eye(agents).expand(steps, size, agents, agents)
        return torch.cat([batch["obs"], last, number], -1)


def sparse(rng, shape, width, low, high):
    """Rows of zeros with between low and high ones each."""
    rows = int(np.prod(shape))
    order = rng.random((rows, width), dtype=np.float32).argsort(-1).argsort(-1)
    return torch.from_numpy((order < rng.integers(low, high + 1, (rows, 1))).astype(np.float32)).view(*shape, width)


def make_batch(o, rng):
    """Time first: frames [T+1, B, ...], steps [T, B, ...]."""
    frames, steps = (o.steps + 1, o.batch), (o.steps, o.batch)
    # An idle agent can do one thing only.
    idle = rng.random((*frames, o.agents, 1)) < 0.07
    available = torch.from_numpy((rng.random((*frames, o.agents, o.actions)) < 0.77) & ~idle)
    chosen = torch.from_numpy(rng.integers(0, o.actions, (*frames, o.agents, 1)))
    available.scatter_(-1, chosen, True)
    return {
        "obs": sparse(rng, (*frames, o.agents), o.obs, 1, 6),
        "state": sparse(rng, frames, o.state, min(14, o.state), min(16, o.state)),
        "available": available,
        "actions": chosen[:-1].squeeze(-1).contiguous(),
        "reward": torch.from_numpy(rng.choice([-2.0, 0.0, 10.0], steps, p=[0.2, 0.75, 0.05])).float(),
        "terminated": torch.zeros(steps),
        "mask": torch.ones(steps),
    }


def facts(o, learner, batch):
    """What `ddn-train bench --json` says of its batch."""
    x, available = learner.inputs(batch), batch["available"]
    return {
        "episodes": o.batch,
        "steps": o.steps,
        "agents": o.agents,
        "actions": o.actions,
        "input": x.shape[-1],
        "state": o.state,
        "input_entries": (x != 0).sum(-1).double().mean().item(),
        "state_entries": (batch["state"] != 0).sum(-1).double().mean().item(),
        "available": available.double().mean().item(),
        "idle": (available.sum(-1) == 1).double().mean().item(),
        "filled": batch["mask"].mean().item(),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scheme", choices=["plain", "ddn"], default="ddn")
    parser.add_argument("--mixer", choices=["vdn", "qmix"], default="qmix")
    parser.add_argument("--ggn-block", choices=["dense", "bag", "bucket"], default="bag")
    parser.add_argument("--lpn-block", choices=["table", "outer", "bucket"], default="bucket")
    for name, value in {
        "threads": 2, "updates": 5, "warmup": 2, "seed": 0,
        "batch": 32, "steps": 200, "agents": 8, "obs": 75, "state": 300, "actions": 6,
        "hidden": 64, "width": 64, "hyper": 64, "lpn-hyper": 64, "embed": 32, "mixer-hyper": 64,
    }.items():  # fmt: skip
        parser.add_argument("--" + name, type=int, default=value)
    parser.add_argument("--scale", type=float, default=0.01, help="of the product with the generated weights")
    parser.add_argument("--mu", type=float, default=0.75, help="share of steps that carry the intrinsic reward")
    parser.add_argument("--cell", action="store_true", help="a loop of nn.GRUCell over time, as PyMARL writes it")
    parser.add_argument("--json", action="store_true", help="print one line of JSON")
    o = parser.parse_args()

    Core.cell_by_cell = o.cell
    torch.set_num_threads(o.threads)
    torch.manual_seed(o.seed)
    rng = np.random.default_rng(o.seed)
    batch, learner = make_batch(o, rng), Learner(o)
    times = []
    for k in range(o.warmup + o.updates):
        start = time.perf_counter()
        loss = learner.update(batch)
        if k >= o.warmup:
            times.append(time.perf_counter() - start)
    if not np.isfinite(loss):
        raise SystemExit("the loss is not finite")
    median = statistics.median(times)
    if o.json:
        about = {"torch": torch.__version__, "threads": o.threads, "batch": facts(o, learner, batch)}
        print(json.dumps({"update_s": median, "updates_s": times, **about}))
    else:
        print(f"{o.scheme} {o.mixer}: {median:.3f} s an update ({o.threads} threads, torch {torch.__version__})")


if __name__ == "__main__":
    main()
