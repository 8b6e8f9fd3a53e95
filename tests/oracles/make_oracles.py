"""Reference values for the trainer's networks, losses and optimisers, from PyTorch in double precision.

Regenerate: `bash tests/run oracles` writes the files into a temporary folder and compares their values with those
stored beside this script. To replace the stored files: `$(bash tests/python.sh oracles) tests/oracles/make_oracles.py`.

    make_oracles.py [FOLDER]            write the files (default: this script's folder)
    make_oracles.py --check [FOLDER]    write into a temporary folder, compare with FOLDER, exit 1 on a difference

Every tensor is stored as float64. Inputs and parameters are drawn with NumPy from fixed seeds, so that only the arithmetic
is PyTorch's. Nothing is clever here on purpose: one agent, one time step, plain formulas.

gru.safetensors
    x [R,T,3H], weight_hh [3H,H], bias_hh [3H], out_weights [R,T,H]; h [R,T,H], loss; grad.x, grad.weight_hh, grad.bias_hh.
    x is the input projection (input weights times input, plus the input bias); gates in the order reset, update, new.
    The loss is sum(h * out_weights), the hidden state starts at zero.
plain_* and ddn_*, * being a mixer or a variant of one
    batch          obs [B,T+1,N,O], state [B,T+1,S], available [B,T+1,N,A], actions [B,T,N], reward, terminated, mask,
                   mu_mask [B,T]
    parameters     their names; `slow.` + name for the target copies
    values         q, slow_q [B,T+1,N,A] (raw, without the availability mask), q_tot, targets [B,T] (iql: [B,T,N]),
                   loss_* for every term of the mixer
    gradients      grad. + name, before clipping; norm.* their global norms per optimiser
    after updates  step1. + name, step2. + name: after one and two updates on the same batch, target copies fixed
    ddn only       constants ggn_scale, lpn_scale; s_hat, o_hat [B,T+1,N,D], ggn_features, lpn_features [B,T+1,N,H],
                   lpn_q [B,T+1,N,A], errors, reward_total [B,T], loss_b, loss_q, loss_f, loss_lpn, loss_i
    ctds_vdn, ctds_qmix, igm_da_dagger_vdn, igm_da_dagger_qmix, igm_da_bc_vdn, ptde_vdn, ptde_qmix
    as `plain`, and
    teacher        [B,T+1,N,V], what a teacher sees in the place of the observation (not in ptde)
    ctds           teacher_q, student_q [B,T+1,N,A], loss_kd; norm.teacher, norm.student
    igm_da         expert_q, learner_q, labels [B,T+1,N,A], loss_imit; norm.all
    ptde           constant coach_scale; noise, slow_noise, z, slow_z [B,T+1,N,Z] (z with its noise), z_mean;
                   teacher_q [B,T+1,N,A] of the mean; norm.teacher. A second phase of two steps on rows_x [R,I], rows_s [R,S], by the networks after
                   step 2: rows_z, rows_guess [R,Z], student_q [B,T+1,N,A] (before it), loss_z, loss2.z, norm.student,
                   grad.student.*, distilled1.student.*, distilled2.student.*
`loss2.*` are the losses seen by the second update.
"""

import argparse
import dataclasses
import functools
import hashlib
import pathlib
import sys
import tempfile

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import load_file, save_file

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)

HERE = pathlib.Path(__file__).resolve().parent

B, T, N, A, O, S = 3, 5, 3, 4, 7, 11  # episodes, steps, agents, actions, observation, state
H, D, M = 6, 5, 4  # recurrent width, personalised width, hypernetwork width
E, HYPER = 5, 7  # mixer width, its hypernetworks' width
HEADS, KEY = 2, 3  # Qatten: heads of attention, width of queries and keys
CH, CE = 4, 6  # WQMIX: recurrent width of the central agents, width of the central mixer
KERNELS, LAYERS = 3, 2  # QPLEX: terms of lambda, layers of its networks
HI, FI = 8, 6  # intrinsic networks: hidden width, features
I = O + A + N  # an agent's input: observation, last action, its number
V = 9  # a teacher's view
Z = 5  # what a teacher of ptde says about the state
R = 12  # rows of a step of its second phase

GAMMA = 0.99
GGN_SCALE, LPN_SCALE, COACH_SCALE = 0.3, 0.2, 0.3
LR = 5e-4
CLIP = 10.0
MU = 0.75
UNAVAILABLE = -9999999.0
OPT, NOPT = 1.0, 0.1  # QTRAN: weights of its two further terms
ATTENTION = 0.01  # Qatten: weight of the regulariser
ALPHA = 0.1  # WQMIX: weight of errors that are not trusted


# Parameters -----------------------------------------------------------------------------------------------------------


class Draw:
    """Draws parameters by name, U(-gain/sqrt(fan_in), gain/sqrt(fan_in))."""

    def __init__(self, seed, gain=1.0):
        self.rng = np.random.default_rng(seed)
        self.gain = gain
        self.out = {}

    def tensor(self, name, shape, fan_in):
        bound = self.gain / np.sqrt(fan_in)
        self.out[name] = torch.tensor(self.rng.uniform(-bound, bound, shape))

    def linear(self, name, rows, columns):
        self.tensor(name + ".weight", (rows, columns), columns)
        self.tensor(name + ".bias", (rows,), columns)

    def mlp(self, name, *widths):
        for layer, (columns, rows) in enumerate(zip(widths, widths[1:])):
            self.linear(f"{name}.{layer}", rows, columns)

    def core(self, name, inputs, width=H):
        """fc1, GRU and fc2 of an agent."""
        self.linear(name + ".fc1", width, inputs)
        for part in ("ih", "hh"):
            self.tensor(f"{name}.gru.weight_{part}", (3 * width, width), width)
        for part in ("ih", "hh"):
            self.tensor(f"{name}.gru.bias_{part}", (3 * width,), width)
        self.linear(name + ".fc2", A, width)

    def block(self, name, source):
        """A personalisation block over a source of the given width, and the agent behind it."""
        self.linear(name + ".hyper", M, I)
        self.linear(name + ".shift", D, I)
        self.tensor(name + ".block.weight", (source, M + 1, D), M)
        self.core(name, D)


# Batch ----------------------------------------------------------------------------------------------------------------


def make_batch(seed):
    """Three episodes: one terminates early, one terminates at the last step, one is cut by the limit."""
    rng = np.random.default_rng(seed)
    steps = [3, T, T]
    ends = [True, True, False]
    batch = {
        "obs": (rng.random((B, T + 1, N, O)) < 0.3) * 1.0,
        "state": (rng.random((B, T + 1, S)) < 0.3) * 1.0,
        "available": (rng.random((B, T + 1, N, A)) < 0.6) * 1.0,
        "actions": np.zeros((B, T, N)),
        "reward": rng.choice([-2.0, 0.0, 10.0, 8.0], (B, T)),
        "terminated": np.zeros((B, T)),
        "mask": np.zeros((B, T)),
        "mu_mask": (rng.random((B, T)) < MU) * 1.0,
    }
    available = batch["available"]
    # Everyone can do the second-last action; agent 2 can do nothing else from step 1 on in episode 1.
    available[..., A - 2] = 1.0
    available[1, 1:, 2, :] = np.eye(A)[A - 2]
    # One agent that can do only one thing in passing.
    available[2, 2, 0, :] = np.eye(A)[A - 2]
    for b in range(B):
        for t in range(steps[b]):
            batch["mask"][b, t] = 1.0
            for n in range(N):
                batch["actions"][b, t, n] = rng.choice(np.flatnonzero(available[b, t, n]))
        if ends[b]:
            batch["terminated"][b, steps[b] - 1] = 1.0
        for t in range(steps[b], T):
            batch["reward"][b, t] = batch["mu_mask"][b, t] = 0.0
        # Frames past the last one hold zeros, and every action.
        for t in range(steps[b] + 1, T + 1):
            batch["obs"][b, t] = 0.0
            batch["state"][b, t] = 0.0
            available[b, t] = 1.0
    return {name: torch.tensor(values) for name, values in batch.items()}


def agent_input(batch):
    """x [B,T+1,N,I]: the observation, the last action (zeros at first), the agent's number."""
    last = torch.zeros(B, T + 1, N, A)
    for b in range(B):
        for t in range(T):
            if batch["mask"][b, t] > 0:
                for n in range(N):
                    last[b, t + 1, n, int(batch["actions"][b, t, n])] = 1.0
    number = torch.eye(N).expand(B, T + 1, N, N)
    return torch.cat([batch["obs"], last, number], dim=-1)


# Networks -------------------------------------------------------------------------------------------------------------


def linear(p, name, x):
    return F.linear(x, p[name + ".weight"], p[name + ".bias"])


def mlp(p, name, x):
    """Layers 0, 1, ... with ReLU between them."""
    layer = 0
    while f"{name}.{layer}.weight" in p:
        x = linear(p, f"{name}.{layer}", torch.relu(x) if layer > 0 else x)
        layer += 1
    return x


def core(p, name, x):
    """The recurrent agent over whole episodes, x [B,T+1,N,.]. Returns the features after fc1, the values, and the
    hidden states."""
    features = torch.relu(linear(p, name + ".fc1", x))
    width = features.shape[-1]
    hidden = torch.zeros(B * N, width)
    states, out = [], []
    for t in range(T + 1):
        # nn.GRUCell's own function, with its own order of gates.
        hidden = torch.gru_cell(
            features[:, t].reshape(B * N, width),
            hidden,
            p[name + ".gru.weight_ih"],
            p[name + ".gru.weight_hh"],
            p[name + ".gru.bias_ih"],
            p[name + ".gru.bias_hh"],
        )
        states.append(hidden.reshape(B, N, width))
        out.append(linear(p, name + ".fc2", hidden).reshape(B, N, A))
    return features, torch.stack(out, dim=1), torch.stack(states, dim=1)


def personalise(p, name, scale, source, x):
    """source [B,T+1,N,K] seen through weights made from x [B,T+1,N,I]: the generated matrix is built in full."""
    h = torch.relu(linear(p, name + ".hyper", x))
    w = p[name + ".block.weight"]
    generated = torch.einsum("btnm,kmj->btnkj", h, w[:, :M]) + w[:, M]
    return scale * torch.einsum("btnk,btnkj->btnj", source, generated) + linear(p, name + ".shift", x)


def ggn(p, batch):
    source = batch["state"].unsqueeze(2).expand(B, T + 1, N, S)
    s_hat = personalise(p, "ggn", GGN_SCALE, source, agent_input(batch))
    return (s_hat, *core(p, "ggn", s_hat))


def lpn(p, batch):
    x = agent_input(batch)
    o_hat = personalise(p, "lpn", LPN_SCALE, x, x)
    return (o_hat, *core(p, "lpn", o_hat))


def idm_errors(p, state):
    """The intrinsic error of each frame: mean over features of the squared difference."""
    made = linear(p, "idm.predictor.1", torch.relu(linear(p, "idm.predictor.0", state)))
    with torch.no_grad():
        goal = linear(p, "idm.target.1", torch.relu(linear(p, "idm.target.0", state)))
    return (made - goal).pow(2).mean(-1)


# Mixers ---------------------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Step:
    """What a mixer may look at, T steps that begin at frame `start`."""

    start: int
    q: torch.Tensor  # [B,T,N] values of the actions
    q_max: torch.Tensor  # [B,T,N] values of the best available actions
    actions: torch.Tensor  # [B,T,N]
    hidden: torch.Tensor  # [B,T,N,H]
    state: torch.Tensor  # [B,T,S]
    x: torch.Tensor  # [B,T+1,N,I], all frames


class Vdn:
    def parameters(self, draw):
        pass

    def value(self, p, step):
        return step.q.sum(-1)

    def bootstrap(self, p, step):
        return self.value(p, step)

    def losses(self, p, slow, taken, greedy, targets, mask):
        """Name, weight and value of every term."""
        return [("td", 1.0, masked_mean((self.value(p, taken) - targets).pow(2), mask))]


class Iql(Vdn):
    def value(self, p, step):
        return step.q


class Qmix(Vdn):
    name = "mixer"

    def parameters(self, draw):
        draw.mlp(self.name + ".w1", S, HYPER, N * E)
        draw.linear(self.name + ".b1", E, S)
        draw.mlp(self.name + ".wf", S, HYPER, E)
        draw.mlp(self.name + ".v", S, E, 1)

    def value(self, p, step):
        w1 = mlp(p, self.name + ".w1", step.state).abs().reshape(B, T, N, E)
        hidden = F.elu(torch.einsum("btn,btne->bte", step.q, w1) + linear(p, self.name + ".b1", step.state))
        wf = mlp(p, self.name + ".wf", step.state).abs()
        return (hidden * wf).sum(-1) + mlp(p, self.name + ".v", step.state).squeeze(-1)


class Qtran(Vdn):
    def parameters(self, draw):
        draw.mlp("mixer.encoder", A + H, A + H, A + H)
        draw.mlp("mixer.joint", S + A + H, E, E, 1)
        draw.mlp("mixer.v", S, E, E, 1)

    def value(self, p, step):
        picked = F.one_hot(step.actions, A).double()
        each = mlp(p, "mixer.encoder", torch.cat([picked, step.hidden], -1))
        return mlp(p, "mixer.joint", torch.cat([step.state, each.sum(2)], -1)).squeeze(-1)

    def losses(self, p, slow, taken, greedy, targets, mask):
        joint = self.value(p, taken)
        v = mlp(p, "mixer.v", taken.state).squeeze(-1)
        with torch.no_grad():
            best = self.value(p, greedy)
        opt = greedy.q.sum(-1) - best + v
        nopt = torch.minimum(taken.q.sum(-1) - joint.detach() + v, torch.zeros(()))
        return [
            ("td", 1.0, masked_mean((joint - targets).pow(2), mask)),
            ("opt", OPT, masked_mean(opt.pow(2), mask)),
            ("nopt", NOPT, masked_mean(nopt.pow(2), mask)),
        ]


class Qatten(Vdn):
    def __init__(self, weighted):
        self.weighted = weighted

    def parameters(self, draw):
        for head in range(HEADS):
            draw.mlp(f"mixer.query.{head}", S, HYPER, KEY)
        draw.linear("mixer.key", HEADS * KEY, I)
        if self.weighted:
            draw.mlp("mixer.weight", S, HYPER, HEADS)
        draw.mlp("mixer.c", S, E, 1)

    def products(self, p, step, head):
        own = step.x[:, step.start : step.start + T]
        keys = linear(p, "mixer.key", own)[..., head * KEY : (head + 1) * KEY]
        return torch.einsum("btd,btnd->btn", mlp(p, f"mixer.query.{head}", step.state), keys)

    def value(self, p, step):
        total = mlp(p, "mixer.c", step.state).squeeze(-1)
        for head in range(HEADS):
            shares = torch.softmax(self.products(p, step, head) / KEY**0.5, -1)
            weight = mlp(p, "mixer.weight", step.state)[..., head].abs() if self.weighted else 1.0
            total = total + weight * (shares * step.q).sum(-1)
        return total

    def losses(self, p, slow, taken, greedy, targets, mask):
        size = sum(self.products(p, taken, head).pow(2).mean(-1) for head in range(HEADS))
        return super().losses(p, slow, taken, greedy, targets, mask) + [("attention", ATTENTION, masked_mean(size, mask))]


class Wqmix(Qmix):
    name = "mixer.monotone"

    def __init__(self, weighting):
        self.weighting = weighting

    def parameters(self, draw):
        super().parameters(draw)
        draw.core("mixer.central.agent", I, CH)
        draw.mlp("mixer.central.mixer", S + N, CE, CE, CE, 1)
        draw.mlp("mixer.central.v", S, CE, 1)

    def bootstrap(self, p, step):
        """The central value."""
        q = core(p, "mixer.central.agent", step.x)[1][:, step.start : step.start + T]
        q = q.gather(-1, step.actions.unsqueeze(-1)).squeeze(-1)
        both = torch.cat([step.state, q], -1)
        return (mlp(p, "mixer.central.mixer", both) + mlp(p, "mixer.central.v", step.state)).squeeze(-1)

    def losses(self, p, slow, taken, greedy, targets, mask):
        error = self.value(p, taken) - targets
        with torch.no_grad():
            if self.weighting == "ow":
                trusted = error < 0
            else:
                trusted = (taken.actions == greedy.actions).all(-1) | (targets > self.bootstrap(slow, greedy))
            assert 0 < (trusted & (mask > 0)).sum() < mask.sum()
            weight = torch.where(trusted, 1.0, ALPHA)
        central = self.bootstrap(p, taken) - targets
        return [("td", 1.0, masked_mean(weight * error.pow(2), mask)), ("central", 1.0, masked_mean(central.pow(2), mask))]


class Qplex(Vdn):
    def parameters(self, draw):
        draw.mlp("mixer.w", S, HYPER, N)
        draw.mlp("mixer.b", S, HYPER, N)
        inner = [E] * (LAYERS - 1)
        for kernel in range(KERNELS):
            draw.mlp(f"mixer.kernel.{kernel}.key", S, *inner, 1)
            draw.mlp(f"mixer.kernel.{kernel}.agents", S, *inner, N)
            draw.mlp(f"mixer.kernel.{kernel}.actions", S + N * A, *inner, N)

    def value(self, p, step):
        w = mlp(p, "mixer.w", step.state).abs() + 1e-10
        b = mlp(p, "mixer.b", step.state)
        advantage = ((w * step.q + b) - (w * step.q_max + b)).detach()
        both = torch.cat([step.state, F.one_hot(step.actions, A).double().reshape(B, T, N * A)], -1)
        lam = torch.zeros(B, T, N)
        for kernel in range(KERNELS):
            name = f"mixer.kernel.{kernel}"
            key = mlp(p, name + ".key", step.state).abs() + 1e-10
            lam = lam + key * torch.sigmoid(mlp(p, name + ".agents", step.state)) * torch.sigmoid(mlp(p, name + ".actions", both))
        return (w * step.q + b).sum(-1) + ((lam - 1) * advantage).sum(-1)


MIXERS = {
    "vdn": Vdn(),
    "qmix": Qmix(),
    "iql": Iql(),
    "qtran": Qtran(),
    "qatten": Qatten(weighted=True),
    "qatten_unweighted": Qatten(weighted=False),
    "wqmix_ow": Wqmix("ow"),
    "wqmix_cw": Wqmix("cw"),
    "qplex": Qplex(),
}


# Losses ---------------------------------------------------------------------------------------------------------------


def masked_mean(values, mask):
    """Mean over existing steps, and over agents where they have values of their own."""
    if values.dim() == 3:
        values = values.mean(-1)
    return (values * mask).sum() / mask.sum()


def td(mixer, p, slow, online, delayed, batch, reward):
    """The terms of the mixer against the one-step double-Q target. Each of online and delayed: values and hidden states
    of the agents over all frames."""
    (q, hidden), (slow_q, slow_hidden) = online, delayed
    closed = batch["available"] == 0
    open_q, open_slow_q = q.masked_fill(closed, UNAVAILABLE), slow_q.masked_fill(closed, UNAVAILABLE)
    best = open_q.argmax(-1)
    x = agent_input(batch)

    def step(start, q, q_max, actions, hidden):
        frames = slice(start, start + T)
        q = q[:, frames].gather(-1, actions.unsqueeze(-1)).squeeze(-1)
        q_max = q_max[:, frames].max(-1).values.detach()
        return Step(start, q, q_max, actions, hidden[:, frames], batch["state"][:, frames], x)

    taken = step(0, q, open_q, batch["actions"].long(), hidden)
    greedy = step(0, q, open_q, best[:, :T], hidden)
    with torch.no_grad():
        later = mixer.bootstrap(slow, step(1, slow_q, open_slow_q, best[:, 1:], slow_hidden))
        rest = GAMMA * (1 - batch["terminated"])
        if later.dim() == 3:
            reward, rest = reward.unsqueeze(-1), rest.unsqueeze(-1)
        targets = reward + rest * later
    terms = mixer.losses(p, slow, taken, greedy, targets, batch["mask"])
    return terms, mixer.value(p, taken), targets


def kl(teacher, student):
    """KL divergence of two rows of log-probabilities, from teacher to student, over the last axis."""
    return (teacher.exp() * (teacher - student)).sum(-1)


def distillation(teacher, student, batch):
    """L_B, L_Q, L_F. Each of teacher and student: block output, features, values."""
    t_block, t_features, t_q = (v[:, :T].detach() for v in teacher)
    s_block, s_features, s_q = (v[:, :T] for v in student)
    available = batch["available"][:, :T]
    open_ = available > 0
    free = (available.sum(-1) > 1).double()  # agents with a choice
    loss_b = ((t_block - s_block).pow(2).sum(-1) * free).sum(-1) / N
    # A finite floor, not minus infinity: the differences of closed entries must not become NaN.
    t_log = torch.log_softmax(t_q.masked_fill(~open_, UNAVAILABLE), -1)
    s_log = torch.log_softmax(s_q.masked_fill(~open_, UNAVAILABLE), -1)
    loss_q = torch.where(open_, t_log.exp() * (t_log - s_log), torch.zeros(())).sum(-1).sum(-1)
    loss_f = (kl(torch.log_softmax(t_features, -1), torch.log_softmax(s_features, -1)) * free).sum(-1)
    return tuple(masked_mean(v, batch["mask"]) for v in (loss_b, loss_q, loss_f))


# Files ----------------------------------------------------------------------------------------------------------------


def optimise(optimiser, tensors):
    norm = torch.nn.utils.clip_grad_norm_(tensors, CLIP)  # times min(1, CLIP / (norm + 1e-6))
    optimiser.step()
    optimiser.zero_grad()
    return norm


def rmsprop(tensors):
    return torch.optim.RMSprop(tensors, lr=LR, alpha=0.99, eps=1e-5)


def adam(tensors):
    return torch.optim.Adam(tensors, lr=LR, betas=(0.9, 0.999), eps=1e-8)


def note_gradients(out, parameters, names):
    for name in names:
        out["grad." + name] = parameters[name].grad.clone()


def make_gru():
    rows, steps = 5, 6
    rng = np.random.default_rng(11)
    x = torch.tensor(rng.normal(size=(rows, steps, 3 * H)), requires_grad=True)
    weight_hh = torch.tensor(rng.uniform(-1, 1, (3 * H, H)), requires_grad=True)
    bias_hh = torch.tensor(rng.uniform(-1, 1, 3 * H), requires_grad=True)
    out_weights = torch.tensor(rng.normal(size=(rows, steps, H)))
    # The identity as input weights makes the input the projection itself.
    identity, zeros = torch.eye(3 * H), torch.zeros(3 * H)
    hidden, out = torch.zeros(rows, H), []
    for t in range(steps):
        hidden = torch.gru_cell(x[:, t], hidden, identity, weight_hh, zeros, bias_hh)
        out.append(hidden)
    h = torch.stack(out, 1)
    layer = torch.nn.GRU(3 * H, H, batch_first=True)
    with torch.no_grad():
        for own, value in zip(layer.parameters(), (identity, weight_hh, zeros, bias_hh)):
            own.copy_(value)
        assert torch.allclose(layer(x)[0], h, rtol=0, atol=1e-14)
    loss = (h * out_weights).sum()
    loss.backward()
    return {
        "x": x,
        "weight_hh": weight_hh,
        "bias_hh": bias_hh,
        "out_weights": out_weights,
        "h": h,
        "loss": loss,
        "grad.x": x.grad,
        "grad.weight_hh": weight_hh.grad,
        "grad.bias_hh": bias_hh.grad,
    }


def note_losses(out, terms, step):
    """The loss of all terms; each is noted by its name."""
    prefix = "loss_" if step == 1 else "loss2."
    out |= {prefix + name: value for name, _, value in terms}
    return sum(weight * value for _, weight, value in terms)


def make_plain(mixer_name):
    mixer = MIXERS[mixer_name]

    def parameters(seed):
        draw = Draw(seed, gain=2.0)
        draw.core("agent", I)
        mixer.parameters(draw)
        return draw.out

    batch, p, slow = make_batch(1), parameters(2), parameters(3)
    out = dict(batch) | {k: v.clone() for k, v in p.items()} | {"slow." + k: v for k, v in slow.items()}
    tensors = [v.requires_grad_() for v in p.values()]
    optimiser = rmsprop(tensors)
    x = agent_input(batch)
    delayed = core(slow, "agent", x)[1:]
    for step in (1, 2):
        online = core(p, "agent", x)[1:]
        terms, q_tot, targets = td(mixer, p, slow, online, delayed, batch, batch["reward"])
        note_losses(out, terms, step).backward()
        if step == 1:
            out |= {"q": online[0], "slow_q": delayed[0], "q_tot": q_tot, "targets": targets}
            note_gradients(out, p, p)
        norm = optimise(optimiser, tensors)
        if step == 1:
            out["norm.agent"] = norm
        out |= {f"step{step}.{k}": v.detach().clone() for k, v in p.items()}
    return out


def make_ddn(mixer_name):
    mixer = MIXERS[mixer_name]

    def parameters(seed, everything):
        draw = Draw(seed, gain=2.0)
        draw.block("ggn", S)
        mixer.parameters(draw)
        if everything:
            draw.block("lpn", I)
            for net in ("predictor", "target"):
                draw.linear(f"idm.{net}.0", HI, S)
                draw.linear(f"idm.{net}.1", FI, HI)
        return draw.out

    batch, p, slow = make_batch(4), parameters(5, True), parameters(6, False)
    out = dict(batch) | {k: v.clone() for k, v in p.items()} | {"slow." + k: v for k, v in slow.items()}
    out |= {"ggn_scale": torch.tensor(GGN_SCALE), "lpn_scale": torch.tensor(LPN_SCALE)}
    names = {
        "ggn": [k for k in p if k.startswith(("ggn.", "mixer."))],
        "lpn": [k for k in p if k.startswith("lpn.")],
        "idm": [k for k in p if k.startswith("idm.predictor.")],
    }
    trained = {part: [p[k].requires_grad_() for k in own] for part, own in names.items()}
    optimisers = {"ggn": rmsprop(trained["ggn"]), "lpn": adam(trained["lpn"]), "idm": adam(trained["idm"])}
    delayed = ggn(slow, batch)[2:]
    for step in (1, 2):
        # The errors of the predictor as it is before this update enter the reward, without a gradient.
        errors = idm_errors(p, batch["state"][:, :T])
        reward = batch["reward"] + batch["mu_mask"] * errors.detach()
        teacher = ggn(p, batch)
        terms, q_tot, targets = td(mixer, p, slow, teacher[2:], delayed, batch, reward)
        # The follower learns from the leader as it was before this update.
        student = lpn(p, batch)
        loss_b, loss_q, loss_f = distillation(teacher[:3], student[:3], batch)
        loss_lpn = loss_b + loss_q + loss_f
        loss_i = masked_mean(errors, batch["mask"])
        losses = {"b": loss_b, "q": loss_q, "f": loss_f, "lpn": loss_lpn, "i": loss_i}
        loss_ggn = note_losses(out, terms, step)
        (loss_ggn + loss_lpn + loss_i).backward()  # the three reach disjoint parameters
        if step == 1:
            out |= {"s_hat": teacher[0], "ggn_features": teacher[1], "q": teacher[2], "slow_q": delayed[0]}
            out |= {"o_hat": student[0], "lpn_features": student[1], "lpn_q": student[2]}
            out |= {"q_tot": q_tot, "targets": targets, "errors": errors, "reward_total": reward}
            out |= {"loss_" + k: v for k, v in losses.items()}
            for own in names.values():
                note_gradients(out, p, own)
        else:
            out |= {"loss2." + k: v for k, v in losses.items()}
        for part, tensors in trained.items():
            norm = optimise(optimisers[part], tensors)
            if step == 1:
                out["norm." + part] = norm
        for own in names.values():
            out |= {f"step{step}.{k}": p[k].detach().clone() for k in own}
    return out


def rounded(parameters):
    """The nearest values in single precision, through which the trainer takes parameters in."""
    return {name: value.float().double() for name, value in parameters.items()}


def teacher_view(batch, seed):
    """Adds what a teacher sees; zeros past the last frame."""
    rng = np.random.default_rng(seed)
    view = torch.tensor((rng.random((B, T + 1, N, V)) < 0.3) * 1.0)
    for b in range(B):
        view[b, int(batch["mask"][b].sum()) + 1 :] = 0.0
    return batch | {"teacher": view}


def teacher_input(batch):
    """The view in the place of the observation."""
    return torch.cat([batch["teacher"], agent_input(batch)[..., O:]], dim=-1)


def note_step(out, step, parameters, names):
    out |= {f"step{step}.{k}": parameters[k].detach().clone() for k in names}


def make_ctds(mixer_name):
    mixer = MIXERS[mixer_name]

    def parameters(seed, everything):
        draw = Draw(seed, gain=2.0)
        draw.core("teacher", V + A + N)
        mixer.parameters(draw)
        if everything:
            draw.core("student", I)
        return rounded(draw.out)

    batch = teacher_view(make_batch(21), 22)
    p, slow = parameters(23, True), parameters(24, False)
    out = dict(batch) | {k: v.clone() for k, v in p.items()} | {"slow." + k: v for k, v in slow.items()}
    teacher_names = [k for k in p if not k.startswith("student.")]
    student_names = [k for k in p if k.startswith("student.")]
    teacher_tensors = [p[k].requires_grad_() for k in teacher_names]
    student_tensors = [p[k].requires_grad_() for k in student_names]
    teacher_optimiser, student_optimiser = rmsprop(teacher_tensors), rmsprop(student_tensors)
    delayed = core(slow, "teacher", teacher_input(batch))[1:]
    slow_q = delayed[0]
    for step in (1, 2):
        online = core(p, "teacher", teacher_input(batch))[1:]
        teacher_q = online[0]
        terms, q_tot, targets = td(mixer, p, slow, online, delayed, batch, batch["reward"])
        loss_td = sum(weight * value for _, weight, value in terms)
        # All actions count, the unavailable ones too; the teacher is the one before its step.
        student_q = core(p, "student", agent_input(batch))[1]
        squares = (student_q - teacher_q.detach())[:, :T].pow(2).sum((-1, -2))
        loss_kd = (squares * batch["mask"]).sum() / batch["mask"].sum()
        loss_td.backward()
        loss_kd.backward()
        if step == 1:
            out |= {"teacher_q": teacher_q, "student_q": student_q, "slow_q": slow_q, "q_tot": q_tot}
            out |= {"targets": targets, "loss_td": loss_td, "loss_kd": loss_kd}
            note_gradients(out, p, p)
        else:
            out |= {"loss2.td": loss_td, "loss2.kd": loss_kd}
        norms = optimise(teacher_optimiser, teacher_tensors), optimise(student_optimiser, student_tensors)
        if step == 1:
            out["norm.teacher"], out["norm.student"] = norms
        note_step(out, step, p, p)
    return out


def make_igm_da(variant, mixer_name):
    mixer = MIXERS[mixer_name]

    def parameters(seed, everything):
        draw = Draw(seed, gain=2.0)
        draw.core("expert", V + A + N)
        mixer.parameters(draw)
        if everything:
            draw.core("learner", I + A)
        return rounded(draw.out)

    batch = teacher_view(make_batch(31), 32)
    p, slow = parameters(33, True), parameters(34, False)
    out = dict(batch) | {k: v.clone() for k, v in p.items()} | {"slow." + k: v for k, v in slow.items()}
    tensors = [v.requires_grad_() for v in p.values()]
    optimiser = rmsprop(tensors)
    slow_q = core(slow, "expert", teacher_input(batch))[1]
    closed = batch["available"] == 0

    def mixed(start, q):
        """A step of mixers that read values and states."""
        return Step(start, q, None, None, None, batch["state"][:, start : start + T], None)

    for step in (1, 2):
        expert_q = core(p, "expert", teacher_input(batch))[1]
        learner_q = core(p, "learner", torch.cat([agent_input(batch), batch["available"]], dim=-1))[1]
        chosen = expert_q[:, :T].gather(-1, batch["actions"].long().unsqueeze(-1)).squeeze(-1)
        q_tot = mixer.value(p, mixed(0, chosen))
        with torch.no_grad():
            # The next action is that of whoever acts; the expert's target network values it.
            who = learner_q if variant == "dagger" else expert_q
            best = who.masked_fill(closed, UNAVAILABLE)[:, 1:].argmax(-1, keepdim=True)
            following = slow_q[:, 1:].gather(-1, best).squeeze(-1)
            targets = batch["reward"] + GAMMA * (1 - batch["terminated"]) * mixer.value(slow, mixed(1, following))
            labels = F.one_hot(expert_q.masked_fill(closed, UNAVAILABLE).argmax(-1), A).double()
        loss_td = masked_mean((q_tot - targets).pow(2), batch["mask"])
        # The mean over steps that exist, agents and actions.
        loss_imit = masked_mean((learner_q - labels)[:, :T].pow(2).mean((-1, -2)), batch["mask"])
        (loss_td + loss_imit).backward()
        if step == 1:
            out |= {"expert_q": expert_q, "learner_q": learner_q, "slow_q": slow_q, "labels": labels}
            out |= {"q_tot": q_tot, "targets": targets, "loss_td": loss_td, "loss_imit": loss_imit}
            note_gradients(out, p, p)
        else:
            out |= {"loss2.td": loss_td, "loss2.imit": loss_imit}
        norm = optimise(optimiser, tensors)
        if step == 1:
            out["norm.all"] = norm
        note_step(out, step, p, p)
    return out


def knowledge(p, x, state):
    """Mean and variance of z [B,T+1,N,Z]."""
    source = state.unsqueeze(-2).expand(*x.shape[:-1], S)
    hyper = torch.relu(linear(p, "coach.hyper", x))
    w = p["coach.block.weight"]
    generated = torch.einsum("...m,kmj->...kj", hyper, w[:, :M]) + w[:, M]
    product = torch.einsum("...k,...kj->...j", source, generated)
    seen = F.elu(COACH_SCALE * product + linear(p, "coach.shift", x))

    def head(name):
        return linear(p, f"coach.{name}.1", F.leaky_relu(linear(p, f"coach.{name}.0", seen), 0.01))

    return head("mean"), head("variance").exp().clamp(min=0.01)


def informed(p, x, z):
    """The agent that is told z, x [B,T+1,N,I]: values [B,T+1,N,A]."""
    hidden = torch.zeros(B * N, H)
    out = []
    for t in range(T + 1):
        hidden = torch.gru_cell(
            torch.relu(linear(p, "agent.fc1", x[:, t])).reshape(B * N, H),
            hidden,
            p["agent.gru.weight_ih"],
            p["agent.gru.weight_hh"],
            p["agent.gru.bias_ih"],
            p["agent.gru.bias_hh"],
        )
        own = torch.relu(linear(p, "agent.fc", hidden)).reshape(B, N, H)
        out.append(linear(p, "agent.fc2", torch.cat([own, z[:, t]], dim=-1)))
    return torch.stack(out, dim=1)


def guess(p, x):
    hidden = torch.relu(linear(p, "student.see", x))
    return linear(p, "student.z2", F.leaky_relu(linear(p, "student.z1", hidden), 0.01))


def make_ptde(mixer_name):
    mixer = MIXERS[mixer_name]

    def parameters(seed, everything):
        draw = Draw(seed, gain=2.0)
        draw.linear("agent.fc1", H, I)
        for part in ("ih", "hh"):
            draw.tensor(f"agent.gru.weight_{part}", (3 * H, H), H)
            draw.tensor(f"agent.gru.bias_{part}", (3 * H,), H)
        draw.linear("agent.fc", H, H)
        draw.linear("agent.fc2", A, H + Z)
        draw.linear("coach.hyper", M, I)
        draw.linear("coach.shift", Z, I)
        draw.tensor("coach.block.weight", (S, M + 1, Z), M)
        for name in ("mean", "variance"):
            draw.linear(f"coach.{name}.0", Z, Z)
            draw.linear(f"coach.{name}.1", Z, Z)
        mixer.parameters(draw)
        if everything:
            draw.linear("student.see", Z, I)
            draw.linear("student.z1", Z, Z)
            draw.linear("student.z2", Z, Z)
        return rounded(draw.out)

    rng = np.random.default_rng(41)
    batch, p, slow = make_batch(42), parameters(43, True), parameters(44, False)
    noise, slow_noise = (torch.tensor(rng.normal(size=(B, T + 1, N, Z))) for _ in range(2))
    rows_x = torch.tensor((rng.random((R, I)) < 0.3) * 1.0)
    rows_s = torch.tensor((rng.random((R, S)) < 0.3) * 1.0)
    out = dict(batch) | {k: v.clone() for k, v in p.items()} | {"slow." + k: v for k, v in slow.items()}
    out |= {"coach_scale": torch.tensor(COACH_SCALE), "noise": noise, "slow_noise": slow_noise}
    out |= {"rows_x": rows_x, "rows_s": rows_s}
    names = [k for k in p if not k.startswith("student.")]
    tensors = [p[k].requires_grad_() for k in names]
    optimiser = torch.optim.Adam(tensors, lr=1e-3, betas=(0.9, 0.999), eps=1e-8)
    x = agent_input(batch)
    slow_mean, slow_variance = knowledge(slow, x, batch["state"])
    slow_z = slow_mean + slow_variance.sqrt() * slow_noise
    slow_q = informed(slow, x, slow_z)
    for step in (1, 2):
        mean, variance = knowledge(p, x, batch["state"])
        z = mean + variance.sqrt() * noise
        q = informed(p, x, z)
        # These mixers do not read hidden states: the values stand in their place.
        terms, q_tot, targets = td(mixer, p, slow, (q, q), (slow_q, slow_q), batch, batch["reward"])
        loss = sum(weight * value for _, weight, value in terms)
        loss.backward()
        if step == 1:
            out |= {"z_mean": mean, "z": z, "slow_z": slow_z, "q": q, "slow_q": slow_q}
            out["teacher_q"] = informed(p, x, mean)
            out |= {"q_tot": q_tot, "targets": targets, "loss_td": loss}
            note_gradients(out, p, names)
        else:
            out["loss2.td"] = loss
        norm = optimise(optimiser, tensors)
        if step == 1:
            out["norm.teacher"] = norm
        note_step(out, step, p, names)
    # The second phase: everything but the student stands still.
    students = [k for k in p if k.startswith("student.")]
    tensors = [p[k].requires_grad_() for k in students]
    optimiser = torch.optim.Adam(tensors, lr=1e-4, betas=(0.9, 0.999), eps=1e-8)
    with torch.no_grad():
        rows_z = knowledge(p, rows_x.unsqueeze(-2), rows_s)[0].squeeze(-2)
        out |= {"rows_z": rows_z, "student_q": informed(p, x, guess(p, x))}
    for step in (1, 2):
        made = guess(p, rows_x)
        loss = (rows_z - made).pow(2).sum(-1).mean()
        loss.backward()
        if step == 1:
            out |= {"rows_guess": made, "loss_z": loss}
            note_gradients(out, p, students)
        else:
            out["loss2.z"] = loss
        norm = optimise(optimiser, tensors)
        if step == 1:
            out["norm.student"] = norm
        out |= {f"distilled{step}.{k}": p[k].detach().clone() for k in students}
    return out


FILES = {"gru": make_gru}
FILES |= {f"plain_{mixer}": functools.partial(make_plain, mixer) for mixer in MIXERS}
FILES |= {f"ddn_{mixer}": functools.partial(make_ddn, mixer) for mixer in ("vdn", "qmix", "wqmix_cw", "qplex")}
FILES |= {f"ctds_{mixer}": functools.partial(make_ctds, mixer) for mixer in ("vdn", "qmix")}
FILES |= {f"igm_da_dagger_{mixer}": functools.partial(make_igm_da, "dagger", mixer) for mixer in ("vdn", "qmix")}
FILES |= {"igm_da_bc_vdn": functools.partial(make_igm_da, "bc", "vdn")}
FILES |= {f"ptde_{mixer}": functools.partial(make_ptde, mixer) for mixer in ("vdn", "qmix")}


def write(folder):
    metadata = {
        "script_sha256": hashlib.sha256(pathlib.Path(__file__).read_bytes()).hexdigest(),
        "torch": torch.__version__,
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in FILES.items():
        tensors = {k: v.detach().clone().contiguous() for k, v in make().items()}
        assert all(v.dtype == torch.float64 and v.isfinite().all() for v in tensors.values()), name
        file = folder / f"{name}.safetensors"
        save_file(tensors, file, metadata=metadata)
        file.chmod(0o644)


def check(folder):
    """Compares fresh values with the stored ones. Returns the number of differences."""
    wrong = 0
    digest = hashlib.sha256(pathlib.Path(__file__).read_bytes()).hexdigest()
    with tempfile.TemporaryDirectory() as made:
        made = pathlib.Path(made)
        write(made)
        for name in FILES:
            file = folder / f"{name}.safetensors"
            if not file.exists():
                print(f"{file.name}: missing")
                wrong += 1
                continue
            with safe_open(file, "pt") as opened:
                if opened.metadata().get("script_sha256") != digest:
                    print(f"{file.name}: made by another version of the script")
                    wrong += 1
            new, old = load_file(made / file.name), load_file(file)
            for key in sorted(new.keys() ^ old.keys()):
                print(f"{file.name}: {key}: only in the {'new' if key in new else 'stored'} file")
                wrong += 1
            worst = 0.0
            for key in sorted(new.keys() & old.keys()):
                if new[key].shape != old[key].shape:
                    print(f"{file.name}: {key}: shape {list(new[key].shape)}, stored {list(old[key].shape)}")
                    wrong += 1
                    continue
                difference = ((new[key] - old[key]).abs() / (1 + old[key].abs())).max().item()
                worst = max(worst, difference)
                if not difference <= 1e-11:
                    print(f"{file.name}: {key}: differs by {difference:.3g}")
                    wrong += 1
            print(f"{file.name}: {len(new)} tensors, largest difference {worst:.3g}")
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=pathlib.Path, default=HERE)
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    options = parser.parse_args()
    if options.check:
        sys.exit(1 if check(options.folder) else 0)
    write(options.folder)


if __name__ == "__main__":
    main()
