{% include 'other.sql' %}
SELECT 1
