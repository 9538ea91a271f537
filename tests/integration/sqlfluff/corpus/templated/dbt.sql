{{ config(materialized='table') }}
SELECT a,  {{ var('x') }} AS v FROM {{ ref('model') }}
{% if is_incremental() %}WHERE a > 1{% endif %}
