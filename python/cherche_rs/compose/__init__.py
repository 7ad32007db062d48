"""Pipelines, unions, intersections and votes of retrievers and rankers."""

from .base import Compose
from .merge import (
    Intersection,
    PipelineIntersection,
    PipelineUnion,
    PipelineVote,
    Union,
    Vote,
)
from .operators import Operators
from .pipeline import Pipeline

__all__ = [
    "Compose",
    "Intersection",
    "Operators",
    "Pipeline",
    "PipelineIntersection",
    "PipelineUnion",
    "PipelineVote",
    "Union",
    "Vote",
]
