"""What order-service takes and gives on the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import ConfigDict, Field, StringConstraints, WithJsonSchema

from common.wire import Date, Id, PositiveInt32, RequestModel, Time, WireModel
from order.models import BookingStatus, PaymentStatus

MAX_SEATS = 10

# Toss's own limits (Payments API, "confirm"): what is outside of them, it would refuse.
PaymentKey = Annotated[str, StringConstraints(pattern=r"^[!-~]{1,200}$")]
# Our payment's id, an underscore, and whatever the client put behind it.
OrderId = Annotated[str, StringConstraints(pattern=r"^[1-9][0-9]{0,17}_[A-Za-z0-9_=-]{1,62}$", max_length=64)]

# What the OpenAPI document says of them; they are not looked at again on their way out.
Seat = Annotated[
    str, WithJsonSchema({"type": "string", "pattern": "^[1-9][0-9]{0,8} [1-9][0-9]{0,8}$", "examples": ["3 7"]})
]
Booked = Annotated[str, WithJsonSchema({"type": "string", "enum": list(BookingStatus)})]
Paid = Annotated[str, WithJsonSchema({"type": "string", "enum": list(PaymentStatus)})]


class BookingRequest(RequestModel):
    """Seats of one show, for oneself."""

    schedule_id: Id
    user_id: Id
    price: PositiveInt32 = Field(description="won, for one seat: the concert's price")
    seat: list[Seat] = Field(min_length=1, max_length=MAX_SEATS, description="`<row> <col>`, all or none of them")

    model_config = ConfigDict(
        json_schema_extra={"example": {"scheduleId": 7, "userId": 3, "price": 110000, "seat": ["3 7", "3 8"]}}
    )


class BookedView(WireModel):
    """A booking that has just been made."""

    id: int
    concert_id: int
    schedule_id: int
    user_id: int
    price: int
    status: Booked
    seat: Seat

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": 21, "concertId": 1, "scheduleId": 7, "userId": 3, "price": 110000, "status": "PENDING",
                "seat": "3 7",
            }
        }
    )  # fmt: skip


class BookingRow(WireModel):
    """A booking in a list, as the database has it."""

    id: int
    concert_id: int
    schedule_id: int
    payment_id: int | None
    user_id: int
    price: int
    status: Booked
    seat: Seat


class BookingView(BookingRow):
    """A booking in a list; name and run time are null once the concert has been deleted."""

    concert_name: str | None
    runtime: int | None

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": 21, "concertId": 1, "scheduleId": 7, "paymentId": 17, "userId": 3, "price": 110000,
                "status": "CONFIRMED", "seat": "3 7", "concertName": "Spring Concert", "runtime": 120,
            }
        }
    )  # fmt: skip


class BookingDetailView(WireModel):
    """One booking with its show, whose fields are null once the schedule has been deleted."""

    user_id: int
    price: int
    status: Booked
    seat: Seat
    schedule_id: int
    concert_id: int
    payment_id: int | None
    concert_name: str | None = None
    runtime: int | None = None
    stage_name: str | None = None
    location: str | None = None
    concert_date: Date | None = None
    concert_time: Time | None = None

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "userId": 3, "price": 110000, "status": "CONFIRMED", "seat": "3 7", "scheduleId": 7, "concertId": 1,
                "paymentId": 17, "concertName": "Spring Concert", "runtime": 120, "stageName": "Main Hall",
                "location": "Seoul", "concertDate": "2027-03-05", "concertTime": "19:30:00",
            }
        }
    )  # fmt: skip


class ActiveBookingsView(WireModel):
    """The bookings of one schedule that hold a seat: how many, and the last row and column among them."""

    schedule_id: int
    count: int
    max_row: int
    max_col: int

    model_config = ConfigDict(json_schema_extra={"example": {"scheduleId": 7, "count": 2, "maxRow": 3, "maxCol": 8}})


class PaymentRequest(RequestModel):
    """A payment for pending bookings of one show."""

    user_id: Id
    booking_ids: list[Id] = Field(min_length=1, max_length=100)

    model_config = ConfigDict(json_schema_extra={"example": {"userId": 3, "bookingIds": [21, 22]}})


class CreatedPaymentView(WireModel):
    """A payment that waits for its buyer."""

    payment_id: int
    user_id: int
    concert_id: int
    total_price: int

    model_config = ConfigDict(
        json_schema_extra={"example": {"paymentId": 17, "userId": 3, "concertId": 1, "totalPrice": 220000}}
    )


class CompletionRequest(RequestModel):
    """What the provider's widget hands to the success page."""

    payment_id: PaymentKey = Field(description="the provider's payment key")
    order_id: OrderId = Field(description="`<paymentId>_<suffix>`")
    amount: Annotated[int, Field(gt=0, lt=10**15)] = Field(description="won")

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "paymentId": "sim_220000_0_64aafd54ec8aa2956c569a90cbdd9ec9", "orderId": "17_x8f2k1",
                "amount": 220000,
            }
        }
    )  # fmt: skip

    @property
    def own_payment_id(self) -> int:
        """The id of our payment, which the order's id begins with."""
        return int(self.order_id.partition("_")[0])


class PaymentRow(WireModel):
    """A payment in a list, as the database has it."""

    total_price: int
    status: str
    card: str | None
    concert_id: int
    schedule_id: int
    user_id: int


class PaymentView(WireModel):
    """A payment in a list; ``card`` is null until it is paid, ``concertName`` once the concert has been deleted."""

    total_price: int
    status: Paid
    card: str | None
    concert_name: str | None
    concert_id: int
    schedule_id: int
    user_id: int

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "totalPrice": 220000, "status": "COMPLETED", "card": "12345678****901*",
                "concertName": "Spring Concert", "concertId": 1, "scheduleId": 7, "userId": 3,
            }
        }
    )  # fmt: skip


class PaymentDetailView(WireModel):
    """One payment: what for (its seats, comma-separated), and by whom."""

    id: int
    concert_id: int
    schedule_id: int
    user_id: int
    total_price: int
    concert_name: str | None
    runtime: int | None
    seat: str
    nickname: str | None
    created_at: datetime

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": 17, "concertId": 1, "scheduleId": 7, "userId": 3, "totalPrice": 220000,
                "concertName": "Spring Concert", "runtime": 120, "seat": "3 7, 3 8", "nickname": "ticketfan",
                "createdAt": "2027-02-01T12:34:56.789000Z",
            }
        }
    )  # fmt: skip
