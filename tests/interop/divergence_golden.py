"""Writes tests/fixtures/torch/divergence.json: what PyTorch computes in float64 of a student's loss with a teacher
whose hidden states and head are given, or its likeliest choices, and the loss's gradients by what is the student's.
usage: divergence_golden.py OUTPUT     needs: pip install torch==2.5.1 numpy"""
import json
import sys
from pathlib import Path

import torch
from torch.nn.functional import cross_entropy, kl_div

ROWS, CHOICES, EXCLUDED, TOP = 3, 11, 5, 4  # the student has a token more, which is no choice either


def exact(*shape):
    """Random values that float32 holds, and that are short as text."""
    return (torch.randn(*shape, dtype=torch.float64) * 64).round() / 64


def model(vocabulary, width):
    return {"hidden": exact(ROWS, width), "head": exact(vocabulary, width), "bias": exact(vocabulary)}


def log_probabilities(of, temperature):
    """Of the choices that are not excluded."""
    logits = torch.nn.functional.linear(of["hidden"], of["head"], of["bias"])[:, :CHOICES]
    logits[:, EXCLUDED] = -torch.inf
    return torch.log_softmax(logits / temperature, dim=1)


def distilled(student, labels, weight, temperature, divergence_from):
    for each in student.values():
        each.grad = None
        each.requires_grad_(True)
    logits = torch.nn.functional.linear(student["hidden"], student["head"], student["bias"])
    loss = cross_entropy(logits, labels, reduction="none")
    divergence = divergence_from(log_probabilities(student, temperature)).sum(dim=1)
    ((1 - weight) * loss + weight * temperature**2 * divergence).sum().backward()
    return {"weight": weight, "temperature": temperature, "loss": loss.tolist(), "divergence": divergence.tolist(),
            **{"d" + name: each.grad.flatten().tolist() for name, each in student.items()}}


def case(teacher, student, labels, weight, temperature):
    kept = [i for i in range(CHOICES) if i != EXCLUDED]
    expected = log_probabilities(teacher, temperature)[:, kept]
    return distilled(student, labels, weight, temperature,
                     lambda found: kl_div(found[:, kept], expected, reduction="none", log_target=True))


def top_case(teacher, student, labels, weight):
    """The terms of the likeliest choices alone."""
    log_p, ids = log_probabilities(teacher, 1).topk(TOP)
    log_p = log_p.float().double()
    result = distilled(student, labels, weight, 1,
                       lambda found: kl_div(found.gather(1, ids), log_p, reduction="none", log_target=True))
    return {"ids": ids.flatten().tolist(), "log_p": log_p.flatten().tolist(), **result}


def flat(of):
    return {name: each.detach().flatten().tolist() for name, each in of.items()}


def main(output):
    torch.manual_seed(5)
    teacher, student = model(CHOICES, 4), model(CHOICES + 1, 3)
    labels = torch.tensor([7, 0, 11])
    cases = [case(teacher, student, labels, 0.75, temperature) for temperature in (1, 2)]
    golden = {"rows": ROWS, "choices": CHOICES, "excluded": [EXCLUDED], "labels": labels.tolist(),
              "teacher": flat(teacher), "student": flat(student), "cases": cases,
              "top": top_case(teacher, student, labels, 0.75)}
    output.mkdir(parents=True, exist_ok=True)
    (output / "divergence.json").write_text(json.dumps(golden, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
