{% set names = columns %}
SELECT
{% for name in names %}
  {{name}}{% if not loop.last %},{% endif %}
{% endfor %}
FROM {{ schema }}.t WHERE x > {{ limits.low }}
