CREATE TABLE events (
	event_id uuid NOT NULL,
	happened_at timestamptz NOT NULL,
	customer_id bigint,
	name text NOT NULL,
	payload jsonb NOT NULL
) PARTITION BY RANGE (happened_at);

CREATE TABLE events_2024_09 PARTITION OF events
FOR VALUES FROM ('2024-09-01') TO ('2024-10-01');

CREATE TABLE events_2024_10 PARTITION OF events
FOR VALUES FROM ('2024-10-01') TO ('2024-11-01');
