"""The pydantic models that NeMo Gym's callers pass and get."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field, SerializerFunctionWrapHandler, model_serializer

__all__ = ["AggregateMetrics", "AggregateMetricsRequest", "RewardProfileConfig"]


class RewardProfileConfig(BaseModel):
    """What `reward_profile` works on."""

    materialized_inputs_jsonl_fpath: str = Field(description="The materialized inputs.")
    rollouts_jsonl_fpath: str = Field(description="The rollouts.")
    allow_partial_rollouts: bool = Field(default=False, description="Whether inputs without a rollout are let pass.")


class AggregateMetricsRequest(BaseModel):
    """The verify responses of a run."""

    verify_responses: list[dict[str, Any]] = Field(
        description="One object per rollout: `_ng_task_index`, `_ng_rollout_index`, `reward`, `response.usage`, …"
    )


class AggregateMetrics(BaseModel):
    """The metrics of a run."""

    group_level_metrics: list[dict[str, Any]] = Field(default_factory=list, description="One row per task.")
    agent_metrics: dict[str, Any] = Field(
        default_factory=dict, description="Over all rollouts, and what the hook adds."
    )
    key_metrics: dict[str, Any] = Field(
        default_factory=dict, description="The headline: a choice of the agent's metrics."
    )
    repeat_level_metrics: list[dict[str, Any]] = Field(
        default_factory=list, description="One row per rollout index, where there are several."
    )
    perf_summary: dict[str, Any] | None = Field(
        default=None, description="What the run cost; only where a response has `ng_perf`."
    )

    # With a return type, the JSON schema would be that of any object.
    @model_serializer(mode="wrap")
    def _leave_out_no_summary(self, serialize: SerializerFunctionWrapHandler):  # type: ignore[no-untyped-def]  # noqa: ANN202
        fields = serialize(self)
        if fields.get("perf_summary") is None:
            fields.pop("perf_summary", None)
        return fields
