ARG BASE_IMAGE
FROM ${BASE_IMAGE}
WORKDIR /app
COPY heartbeat_client.py task_service.py /app/
ENV PYTHONPATH=/app PYTHONUNBUFFERED=1
CMD ["python3", "task_service.py"]
