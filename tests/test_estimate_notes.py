import math

from rewardcli.estimate import cluster_note, few_tasks_note, noise_note, run_effect_note, single_draw_note


def test_few_tasks() -> None:
    assert few_tasks_note(9) == "only 9 tasks: the interval is wide because little is known"
    assert few_tasks_note(10) == ""
    assert few_tasks_note(1) == ""  # there is no interval


def test_a_single_draw_of_each_task() -> None:
    assert single_draw_note(5, 8).startswith("k is more than half of the rollouts")
    assert single_draw_note(4, 8) == ""
    assert single_draw_note(1, 1) == ""


def test_few_or_large_clusters() -> None:
    assert cluster_note(10, 0.33) == ""
    assert cluster_note(9, 0.2) == "only 9 clusters: the interval may be too narrow"
    assert cluster_note(12, 0.4) == "the largest cluster holds 40 % of the tasks: the interval may be too narrow"
    assert cluster_note(2, 0.75).startswith("only 2 clusters, and the largest holds 75 % of the tasks")


def test_a_run_effect() -> None:
    assert run_effect_note(0.0009).startswith("whole runs differ")
    assert run_effect_note(0.001) == ""
    assert run_effect_note(math.nan) == ""


def test_the_share_of_run_noise() -> None:
    assert noise_note(0.274) == "run noise is 27 % of the variance: more tasks help more than more rollouts"
    assert noise_note(0.8) == "run noise is 80 % of the variance: more rollouts help as well as more tasks"
    assert noise_note(math.nan) == ""
