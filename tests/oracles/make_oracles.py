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
plain_vdn, plain_qmix, ddn_vdn, ddn_qmix
    batch          obs [B,T+1,N,O], state [B,T+1,S], available [B,T+1,N,A], actions [B,T,N], reward, terminated, mask,
                   mu_mask [B,T]
    parameters     their names; `slow.` + name for the target copies
    values         q, slow_q [B,T+1,N,A] (raw, without the availability mask), q_tot, targets [B,T], loss_td
    gradients      grad. + name, before clipping; norm.* their global norms per optimiser
    after updates  step1. + name, step2. + name: after one and two updates on the same batch, target copies fixed
    ddn only       constants ggn_scale, lpn_scale; s_hat, o_hat [B,T+1,N,D], ggn_features, lpn_features [B,T+1,N,H],
                   lpn_q [B,T+1,N,A], errors, reward_total [B,T], loss_b, loss_q, loss_f, loss_lpn, loss_i
    `loss2.*` are the losses seen by the second update.
"""

import argparse
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
HI, FI = 8, 6  # intrinsic networks: hidden width, features
I = O + A + N  # an agent's input: observation, last action, its number

GAMMA = 0.99
GGN_SCALE, LPN_SCALE = 0.3, 0.2
LR = 5e-4
CLIP = 10.0
MU = 0.75
UNAVAILABLE = -9999999.0


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

    def core(self, name, inputs):
        """fc1, GRU and fc2 of an agent."""
        self.linear(name + ".fc1", H, inputs)
        for part in ("ih", "hh"):
            self.tensor(f"{name}.gru.weight_{part}", (3 * H, H), H)
        for part in ("ih", "hh"):
            self.tensor(f"{name}.gru.bias_{part}", (3 * H,), H)
        self.linear(name + ".fc2", A, H)

    def block(self, name, source):
        """A personalisation block over a source of the given width, and the agent behind it."""
        self.linear(name + ".hyper", M, I)
        self.linear(name + ".shift", D, I)
        self.tensor(name + ".block.weight", (source, M + 1, D), M)
        self.core(name, D)

    def qmix(self):
        self.linear("mixer.w1.0", HYPER, S)
        self.linear("mixer.w1.1", N * E, HYPER)
        self.linear("mixer.b1", E, S)
        self.linear("mixer.wf.0", HYPER, S)
        self.linear("mixer.wf.1", E, HYPER)
        self.linear("mixer.v.0", E, S)
        self.linear("mixer.v.1", 1, E)


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


def core(p, name, x):
    """The recurrent agent over whole episodes, x [B,T+1,N,.]. Returns the features after fc1 and the values."""
    features = torch.relu(linear(p, name + ".fc1", x))
    hidden = torch.zeros(B * N, H)
    out = []
    for t in range(T + 1):
        # nn.GRUCell's own function, with its own order of gates.
        hidden = torch.gru_cell(
            features[:, t].reshape(B * N, H),
            hidden,
            p[name + ".gru.weight_ih"],
            p[name + ".gru.weight_hh"],
            p[name + ".gru.bias_ih"],
            p[name + ".gru.bias_hh"],
        )
        out.append(linear(p, name + ".fc2", hidden).reshape(B, N, A))
    return features, torch.stack(out, dim=1)


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


def vdn(p, q, state):
    return q.sum(-1)


def qmix(p, q, state):
    """q [B,T,N], state [B,T,S] -> [B,T]."""
    w1 = linear(p, "mixer.w1.1", torch.relu(linear(p, "mixer.w1.0", state))).abs().reshape(*q.shape[:2], N, E)
    hidden = F.elu(torch.einsum("btn,btne->bte", q, w1) + linear(p, "mixer.b1", state))
    wf = linear(p, "mixer.wf.1", torch.relu(linear(p, "mixer.wf.0", state))).abs()
    v = linear(p, "mixer.v.1", torch.relu(linear(p, "mixer.v.0", state))).squeeze(-1)
    return (hidden * wf).sum(-1) + v


MIXERS = {"vdn": vdn, "qmix": qmix}


def idm_errors(p, state):
    """The intrinsic error of each frame: mean over features of the squared difference."""
    made = linear(p, "idm.predictor.1", torch.relu(linear(p, "idm.predictor.0", state)))
    with torch.no_grad():
        goal = linear(p, "idm.target.1", torch.relu(linear(p, "idm.target.0", state)))
    return (made - goal).pow(2).mean(-1)


# Losses ---------------------------------------------------------------------------------------------------------------


def masked_mean(values, mask):
    return (values * mask).sum() / mask.sum()


def td(mixer, p, slow, q, slow_q, batch, reward):
    """The squared error of the mixed value against the one-step double-Q target."""
    chosen = q[:, :T].gather(-1, batch["actions"].long().unsqueeze(-1)).squeeze(-1)
    q_tot = mixer(p, chosen, batch["state"][:, :T])
    with torch.no_grad():
        closed = batch["available"] == 0
        best = q.masked_fill(closed, UNAVAILABLE)[:, 1:].argmax(-1, keepdim=True)
        following = slow_q.masked_fill(closed, UNAVAILABLE)[:, 1:].gather(-1, best).squeeze(-1)
        later = mixer(slow, following, batch["state"][:, 1:])
        targets = reward + GAMMA * (1 - batch["terminated"]) * later
    return masked_mean((q_tot - targets).pow(2), batch["mask"]), q_tot, targets


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


def make_plain(mixer_name):
    mixer = MIXERS[mixer_name]

    def parameters(seed):
        draw = Draw(seed, gain=2.0)
        draw.core("agent", I)
        if mixer_name == "qmix":
            draw.qmix()
        return draw.out

    batch, p, slow = make_batch(1), parameters(2), parameters(3)
    out = dict(batch) | {k: v.clone() for k, v in p.items()} | {"slow." + k: v for k, v in slow.items()}
    tensors = [v.requires_grad_() for v in p.values()]
    optimiser = rmsprop(tensors)
    x = agent_input(batch)
    slow_q = core(slow, "agent", x)[1]
    for step in (1, 2):
        q = core(p, "agent", x)[1]
        loss, q_tot, targets = td(mixer, p, slow, q, slow_q, batch, batch["reward"])
        loss.backward()
        if step == 1:
            out |= {"q": q, "slow_q": slow_q, "q_tot": q_tot, "targets": targets, "loss_td": loss}
            note_gradients(out, p, p)
        else:
            out["loss2.td"] = loss
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
        if mixer_name == "qmix":
            draw.qmix()
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
    slow_q = ggn(slow, batch)[2]
    for step in (1, 2):
        # The errors of the predictor as it is before this update enter the reward, without a gradient.
        errors = idm_errors(p, batch["state"][:, :T])
        reward = batch["reward"] + batch["mu_mask"] * errors.detach()
        teacher = ggn(p, batch)
        loss_td, q_tot, targets = td(mixer, p, slow, teacher[2], slow_q, batch, reward)
        # The follower learns from the leader as it was before this update.
        student = lpn(p, batch)
        loss_b, loss_q, loss_f = distillation(teacher, student, batch)
        loss_lpn = loss_b + loss_q + loss_f
        loss_i = masked_mean(errors, batch["mask"])
        losses = {"td": loss_td, "b": loss_b, "q": loss_q, "f": loss_f, "lpn": loss_lpn, "i": loss_i}
        (loss_td + loss_lpn + loss_i).backward()  # the three reach disjoint parameters
        if step == 1:
            out |= {"s_hat": teacher[0], "ggn_features": teacher[1], "q": teacher[2], "slow_q": slow_q}
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


FILES = {
    "gru": make_gru,
    "plain_vdn": lambda: make_plain("vdn"),
    "plain_qmix": lambda: make_plain("qmix"),
    "ddn_vdn": lambda: make_ddn("vdn"),
    "ddn_qmix": lambda: make_ddn("qmix"),
}


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
