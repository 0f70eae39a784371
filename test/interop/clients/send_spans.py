"""An app of a user, with the official SDK and not a word about the gateway: everything comes from
the environment. Sends one trace and prints the ids of its spans."""

import json
import os

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

if os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL") == "grpc":
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
else:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

provider = TracerProvider(resource=Resource.create())
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
tracer = provider.get_tracer("interop", "1.0.0")

spans = []
with tracer.start_as_current_span("answer the customer") as root:
    spans.append(root)
    for index, name in enumerate(["think", "look up", "reply"]):
        with tracer.start_as_current_span(name) as span:
            span.set_attribute("gen_ai.usage.input_tokens", index)
            span.add_event("said", {"text": "Grüße 👋"})
            spans.append(span)

provider.force_flush()
provider.shutdown()
contexts = [span.get_span_context() for span in spans]
print(
    json.dumps(
        [{"traceId": f"{c.trace_id:032x}", "spanId": f"{c.span_id:016x}"} for c in contexts]
    )
)
